"""Which files and folders below a dataset's root are clips."""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path, PurePosixPath

import polars as pl

from dfer.data_manifest.disk.file_types import IMAGE_SUFFIXES, VIDEO_SUFFIXES, suffix_of
from dfer.data_manifest.problems import Problem, problem, sentence
from dfer.schemas.manifest import FRAME_FOLDER, VIDEO
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.text import counted

NO_DATA = frozenset(("__macosx", "@eadir"))  # folders that macOS' archives and Synology's disks add


# A clip on disk: its path relative to the dataset's root, VIDEO or FRAME_FOLDER, a video's size in bytes (null where
# it cannot be asked), and how many images a folder holds.
FOUND_SCHEMA = pl.Schema({"path": pl.String, "kind": pl.String, "bytes": pl.Int64, "images": pl.Int64})
Found = tuple[str, str, int | None, int]


def find_clips(root: Path) -> tuple[pl.DataFrame, list[Problem]]:
    """Walk `root` in sorted order (FOUND_SCHEMA); a folder that holds images is one clip, any video file is one.

    Images beside videos, or above other clips, are posters and thumbnails: they are passed over and reported. A
    folder that holds nothing to see is an empty clip, if other folders are clips and it lies as deep as one of them.
    Raises UserError where a folder cannot be read or a name is not UTF-8.
    """
    rows = list(_walk(root))
    holders = _holders(path for path, kind, _, images in rows if kind == VIDEO or images)
    # Images in the root itself are no clip: it would have no name.
    passed_over = [row for row in rows if row[3] and (row[0] in holders or row[0] == ".")]
    clips = [row for row in rows if row[0] != "." and not (row[3] and row[0] in holders)]
    depths = {path.count("/") for path, _, _, images in clips if images}
    clips = [row for row in clips if row[1] == VIDEO or row[3] or row[0].count("/") in depths]
    empty = [path for path, kind, _, images in clips if kind == FRAME_FOLDER and not images]
    return pl.DataFrame(clips, schema=FOUND_SCHEMA, orient="row"), [
        *problem("empty", "frame folders hold no image", pl.Series(empty, dtype=pl.String)),
        *_images_passed_over(passed_over),
    ]


def first_clips(root: Path, count: int) -> list[str]:
    """The first `count` videos and folders of images below a folder, to recognise a dataset by their names.

    It does not look on for more, since the tree may be millions of images. Raises as `find_clips`.
    """
    if not root.is_dir():
        return []
    seen = (path for path, kind, _, images in _walk(root, sizes=False) if kind == VIDEO or images)
    return list(islice(seen, count))


def subfolders(folder: Path) -> list[str]:
    """The names of the folders in a folder, sorted; none where it is not there or cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if _is_data(entry.name) and entry.is_dir())
    except OSError:
        return []


def _walk(root: Path, sizes: bool = True) -> Iterator[Found]:
    """Rows of FOUND_SCHEMA: videos, and folders with images or with nothing to see. Hidden ones are passed over."""
    for folder, below, files in _folders(root):
        here = PurePosixPath(Path(folder).relative_to(root).as_posix())
        check_name(here)
        suffixes = [(name, suffix_of(name)) for name in files if not name.startswith(".")]
        videos = sorted(name for name, suffix in suffixes if suffix in VIDEO_SUFFIXES)
        images = sum(suffix in IMAGE_SUFFIXES for _, suffix in suffixes)
        if images or not (videos or below):
            yield str(here), FRAME_FOLDER, None, images
        for name in videos:
            check_name(here / name)
            yield str(here / name), VIDEO, size_of(Path(folder) / name) if sizes else None, 0


def _folders(root: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """os.walk in sorted order. Links to folders are followed, since data often lie on another disk, but for those
    that lead back to a folder that they lie in."""
    above: list[tuple[int, int]] = []
    for folder, below, files in os.walk(root, onerror=_raise, followlinks=True):
        try:
            status = os.stat(folder)  # noqa: PTH116 (many folders)
        except OSError as error:
            _raise(error)
        depth = len(Path(folder).relative_to(root).parts)
        above[depth:] = [(status.st_dev, status.st_ino)]
        if above[-1] in above[:-1]:
            below.clear()
            continue
        below[:] = sorted(name for name in below if _is_data(name))
        yield folder, below, files


def _holders(clips: Iterator[str]) -> set[str]:
    """All folders that hold one of these clips, at any depth."""
    holders: set[str] = set()
    for clip in clips:
        folder = clip.rpartition("/")[0]
        while folder and folder not in holders:
            holders.add(folder)
            folder = folder.rpartition("/")[0]
    return holders


def _images_passed_over(folders: list[Found]) -> list[Problem]:
    """The problem of images that are no frames. Its count is of images, its examples are their folders."""
    count = sum(images for _, _, _, images in folders)
    if not folders:
        return []
    text = sentence(count, f"images lie beside or above clips and are passed over, in {folders[0][0]}")
    text += f" and {counted(len(folders) - 1, 'more folder')}" if len(folders) > 1 else ""
    return [Problem(kind="images", count=count, text=text)]


def _is_data(folder: str) -> bool:
    """Whether a folder of this name can hold clips."""
    return not folder.startswith(".") and folder.lower() not in NO_DATA


def check_name(path: PurePosixPath) -> None:
    """Tables and JSON hold text. Raises UserError for a name that is none."""
    if not is_text(str(path)):
        shown = str(path).encode("utf-8", "backslashreplace").decode()
        raise UserError(f"{shown}: its name is not UTF-8; rename it")


def is_text(path: str) -> bool:
    """Whether a path is UTF-8; bytes of a name that are not come as lone surrogates."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def size_of(path: Path | os.DirEntry) -> int | None:
    """A file's bytes, None where they cannot be asked."""
    try:
        return path.stat().st_size
    except OSError:
        return None  # a broken link; the clip's own row will say so


def _raise(error: OSError) -> None:
    raise UserError(f"{error.filename}: {error.strerror}; make it readable or move it away") from None
