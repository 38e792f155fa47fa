"""What a folder contains: subfolders, videos, images, other files."""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path, PurePosixPath

import polars as pl

from dfer.data_manifest.disk.file_types import IMAGE_SUFFIXES, VIDEO_SUFFIXES, suffix_of
from dfer.schemas.manifest import FRAME_FOLDER, IMAGE, VIDEO
from dfer.schemas.support.errors import UserError

OTHER = "other"  # kind of a file that is neither a video nor an image
ARCHIVE_JUNK = frozenset(("__macosx", "@eadir"))  # folders that macOS' archives and Synology's disks add

# path: relative to the dataset's root; kind: VIDEO, IMAGE, FRAME_FOLDER (any folder) or OTHER; bytes: of a video or
# an image, null if unknown; images: in a folder, where they were counted.
ENTRY_SCHEMA = pl.Schema({"path": pl.String, "kind": pl.String, "bytes": pl.Int64, "images": pl.Int64})
Entry = tuple[str, str, int | None, int]


def parent_of(path: pl.Expr) -> pl.Expr:
    """The folder that contains each path; "" for the root."""
    return path.str.extract(r"(?s)^(.*)/", 1).fill_null("")


def list_parents(root: Path, paths: pl.Series) -> pl.DataFrame:
    """List the parent folders of these paths (ENTRY_SCHEMA, sorted by path), hidden entries included.

    Every folder on the way is read once, from the top, so those below a missing one cost nothing.
    Raises UserError if a folder cannot be read.
    """
    levels = [_parents(paths)]
    while levels[-1].to_list() not in ([], [""]):
        levels.append(_parents(levels[-1]))
    wanted = pl.concat(levels).unique().str.normalize("NFC")
    found: list[Entry] = []
    reachable = [""] if len(wanted) else []
    while reachable:
        below = [entry for folder in reachable for entry in _entries(root, folder)]
        found += below
        folders = pl.Series([path for path, kind, _, _ in below if kind == FRAME_FOLDER], dtype=pl.String)
        reachable = folders.filter(folders.str.normalize("NFC").is_in(wanted.implode())).to_list()
    return pl.DataFrame(found, schema=ENTRY_SCHEMA, orient="row").sort("path")


def list_tree(root: Path, folder: str, depth: int) -> pl.DataFrame:
    """List a folder below `root`, `depth` levels deep (ENTRY_SCHEMA, sorted by path), without hidden entries."""
    found: list[Entry] = []
    level = [folder]
    for _ in range(depth):
        below = [
            entry for path in level for entry in _entries(root, path) if "/." not in entry[0][len(path) :]
        ]
        found += below
        level = [path for path, kind, _, _ in below if kind == FRAME_FOLDER]
    return pl.DataFrame(found, schema=ENTRY_SCHEMA, orient="row").sort("path")


def images_in(folder: Path, at_most: int) -> int:
    """Count the images in a folder, up to `at_most`; an unreadable folder counts as `at_most`.

    Extracting that folder reports it.
    """
    try:
        with os.scandir(folder) as entries:
            images = (suffix_of(entry.name) in IMAGE_SUFFIXES for entry in entries if entry.name[0] != ".")
            return len(list(islice(filter(None, images), at_most)))
    except OSError:
        return at_most


def subfolders(folder: Path) -> list[str]:
    """Names of the folders in a folder, without hidden and junk ones, sorted; none if it is missing or unreadable."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if may_have_clips(entry.name) and entry.is_dir())
    except OSError:
        return []


def may_have_clips(folder: str) -> bool:
    """Whether a folder of this name is neither hidden nor an archive's junk."""
    return not folder.startswith(".") and folder.lower() not in ARCHIVE_JUNK


def check_name(path: PurePosixPath) -> None:
    """Raise UserError for a name that is not UTF-8: tables and JSON cannot store it."""
    if not _is_utf8(str(path)):
        shown = str(path).encode("utf-8", "backslashreplace").decode()
        raise UserError(f"{shown}: the name is not UTF-8; rename it")


def size_of(file: str | Path | os.DirEntry) -> int | None:
    """A file's bytes; None for a broken link, whose own row reports it."""
    try:
        return (os.stat(file) if isinstance(file, str) else file.stat()).st_size  # noqa: PTH116 (many files)
    except OSError:
        return None


def _parents(paths: pl.Series) -> pl.Series:
    return paths.to_frame("path").select(parent_of(pl.col("path")).unique())["path"]


def _entries(root: Path, folder: str) -> Iterator[Entry]:
    """One folder, hidden entries included: a list may name them."""
    try:
        with os.scandir(root / folder) as entries:
            for entry in entries:
                path = f"{folder}/{entry.name}" if folder else entry.name
                if entry.is_dir():
                    check_name(PurePosixPath(path))
                    yield path, FRAME_FOLDER, None, 0
                elif suffix_of(entry.name) in VIDEO_SUFFIXES:
                    check_name(PurePosixPath(path))
                    yield path, VIDEO, size_of(entry), 0
                elif _is_utf8(path):
                    is_image = suffix_of(entry.name) in IMAGE_SUFFIXES
                    yield path, *((IMAGE, size_of(entry)) if is_image else (OTHER, None)), 0
    except FileNotFoundError:
        return  # the root, or a folder removed meanwhile: its clips are missing
    except OSError as error:
        raise UserError(
            f"{root / folder}: {error.strerror}; make it readable, or fix the paths that lead there"
        ) from None


def _is_utf8(path: str) -> bool:
    """Whether a path is UTF-8; other bytes arrive as lone surrogates."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
