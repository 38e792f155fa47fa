"""Files and folders by name, whatever their capitals on disk: some unpackers change them."""

import contextlib
import functools
import os
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

from dfer.data_manifest.disk.find_clips import subfolders


def first_existing(root: Path, names: Iterable[str]) -> str | None:
    """The first of these folders that is there, written as on disk: some unpackers change capitals."""
    listed = functools.cache(lambda folder: {name.lower(): name for name in subfolders(root / folder)})
    return next(filter(None, (_as_written(name, listed) for name in names)), None)


def any_case(file: Path) -> Path:
    """A file as it is written on disk: some unpackers change capitals. As it was asked for where there is none."""
    with contextlib.suppress(OSError):
        names = os.listdir(file.parent)  # noqa: PTH208 (names alone)
        if file.name not in names:
            return file.with_name(next((n for n in names if n.lower() == file.name.lower()), file.name))
    return file


def _as_written(name: str, listed: Callable[[str], dict[str, str]]) -> str | None:
    """A folder's path as it is on disk. listed: what the folders in a folder are called, by lower-case name."""
    found = ""
    for part in PurePosixPath(name).parts:
        below = listed(found)
        if part.lower() not in below:
            return None
        exact = part if part in below.values() else below[part.lower()]
        found = f"{found}/{exact}" if found else exact
    return found
