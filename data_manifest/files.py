"""Which files and folders below a dataset's root are clips."""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path, PurePosixPath

import polars as pl

from schemas.errors import UserError
from schemas.manifest import FRAME_FOLDER, VIDEO

VIDEO_SUFFIXES = frozenset(
    (
        *(".3gp", ".asf", ".avi", ".flv", ".gif", ".m4v", ".mjpeg", ".mkv", ".mov", ".mp4", ".mpeg"),
        *(".mpg", ".mts", ".ogv", ".ts", ".vob", ".webm", ".wmv"),
    )
)
IMAGE_SUFFIXES = frozenset((".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"))


# A clip on disk: its path relative to the dataset's root, VIDEO or FRAME_FOLDER, a video's size in bytes (null where
# it cannot be asked), and whether it is a folder without an image.
FOUND_SCHEMA = pl.Schema({"path": pl.String, "kind": pl.String, "bytes": pl.Int64, "empty": pl.Boolean})


def find_clips(root: Path) -> pl.DataFrame:
    """Walk `root` in sorted order (FOUND_SCHEMA); a folder that holds images is one clip, any video file is one.

    A folder that holds nothing is an empty clip, if other folders are clips and it lies as deep as one of them.
    Raises UserError where a folder cannot be read or a name is not UTF-8.
    """
    rows = list(_walk(root))
    depths = {path.count("/") for path, kind, _, empty in rows if kind == FRAME_FOLDER and not empty}
    kept = [row for row in rows if not row[3] or row[0].count("/") in depths]
    return pl.DataFrame(kept, schema=FOUND_SCHEMA, orient="row")


def first_videos(root: Path, count: int) -> list[str]:
    """The videos among the first `count` clips below a folder, to recognise a dataset by their names.

    It does not look on for more, since the tree may be millions of images. Raises as `find_clips`.
    """
    if not root.is_dir():
        return []
    return [path for path, kind, _, _ in islice(_walk(root, sizes=False), count) if kind == VIDEO]


def _walk(root: Path, sizes: bool = True) -> Iterator[tuple[str, str, int | None, bool]]:
    """Rows of FOUND_SCHEMA. Hidden files and folders are passed over; links to folders are not followed, so a loop
    cannot trap it."""
    for folder, subfolders, files in os.walk(root, onerror=_raise):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        visible = sorted(name for name in files if not name.startswith("."))
        here = PurePosixPath(Path(folder).relative_to(root).as_posix())
        images = any(Path(name).suffix.lower() in IMAGE_SUFFIXES for name in visible)
        if here.parts and (images or not (visible or subfolders)):
            yield str(here), FRAME_FOLDER, None, not images
        for name in (here.name, *visible):
            check_name(here / name)
        for name in visible:
            if Path(name).suffix.lower() in VIDEO_SUFFIXES:
                yield str(here / name), VIDEO, size_of(Path(folder) / name) if sizes else None, False


def check_name(path: PurePosixPath) -> None:
    """Tables and JSON hold text. Raises UserError for a name that is none."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        shown = str(path).encode("utf-8", "backslashreplace").decode()
        raise UserError(f"{shown}: its name is not UTF-8; rename it") from None


def size_of(path: Path | os.DirEntry) -> int | None:
    """A file's bytes, None where they cannot be asked."""
    try:
        return path.stat().st_size
    except OSError:
        return None  # a broken link; the clip's own row will say so


def _raise(error: OSError) -> None:
    raise UserError(f"{error.filename}: {error.strerror}; make it readable or move it away") from None
