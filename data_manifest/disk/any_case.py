"""Find files and folders by name in any case: some unpackers change capitals."""

import functools
import os
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

from dfer.data_manifest.disk.folder_contents import subfolders


def first_folder(root: Path, names: Iterable[str]) -> str | None:
    """The first of these folders below `root` that exists, spelled as on disk; None if none does."""
    listed = functools.cache(lambda folder: {name.lower(): name for name in subfolders(root / folder)})
    return next(filter(None, (_as_on_disk(name, listed) for name in names)), None)


def file_below(root: Path, path: str) -> Path:
    """A file below `root`, spelled as on disk, folders too; unchanged where there is no such folder or file."""
    folder, _, name = path.rpartition("/")
    return file_in_any_case(root / (first_folder(root, (folder,)) or folder) / name)


def file_in_any_case(file: Path) -> Path:
    """A file's path spelled as on disk; unchanged if there is no such file."""
    try:
        names = os.listdir(file.parent)  # noqa: PTH208 (names alone)
    except OSError:
        return file
    if file.name in names:
        return file
    return file.with_name(next((name for name in names if name.lower() == file.name.lower()), file.name))


def _as_on_disk(path: str, listed: Callable[[str], dict[str, str]]) -> str | None:
    """listed: names of the folders in a folder, by lower-case name."""
    found = ""
    for part in PurePosixPath(path).parts:
        below = listed(found)
        if part.lower() not in below:
            return None
        exact = part if part in below.values() else below[part.lower()]
        found = f"{found}/{exact}" if found else exact
    return found
