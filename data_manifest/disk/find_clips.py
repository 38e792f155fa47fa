"""Walk a folder and find its clips: videos, and folders of images."""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path, PurePosixPath

import polars as pl

from dfer.data_manifest.disk.file_types import IMAGE_SUFFIXES, VIDEO_SUFFIXES, suffix_of
from dfer.data_manifest.disk.folder_contents import ENTRY_SCHEMA, Entry, check_name, may_have_clips, size_of
from dfer.data_manifest.disk.skipped_media import OtherFiles
from dfer.data_manifest.problems import Problem, report
from dfer.schemas.manifest import FRAME_FOLDER, IMAGE, VIDEO
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.text import counted

READ = VIDEO_SUFFIXES | IMAGE_SUFFIXES


def find_clips(root: Path) -> tuple[pl.DataFrame, list[Problem]]:
    """Find every clip below `root`, sorted by path (ENTRY_SCHEMA): a video, or a folder that contains images.

    Images next to videos or above other clips (posters, thumbnails) are ignored and reported. A folder without
    anything to see is an empty clip if a folder with images is as deep as it.
    Raises UserError if a folder cannot be read or a name is not UTF-8.
    """
    others = OtherFiles(root)
    rows = list(_walk(root, others=others))
    containers = _containers(path for path, kind, _, images in rows if kind == VIDEO or images)
    # Images in the root itself are not a clip: it would have no name.
    ignored = [row for row in rows if row[3] and (row[0] in containers or row[0] == ".")]
    clips = [row for row in rows if row[0] != "." and not (row[3] and row[0] in containers)]
    depths = {path.count("/") for path, _, _, images in clips if images}
    clips = [row for row in clips if row[1] == VIDEO or row[3] or row[0].count("/") in depths]
    empty = [path for path, kind, _, images in clips if kind == FRAME_FOLDER and not images]
    return pl.DataFrame(clips, schema=ENTRY_SCHEMA, orient="row"), [
        *report("empty", "frame folders without an image", pl.Series(empty, dtype=pl.String)),
        *_ignored_images(ignored),
        *others.skipped_media(),
    ]


def find_images(root: Path) -> tuple[pl.DataFrame, list[Problem]]:
    """Find every image below `root`, sorted by path (ENTRY_SCHEMA). Videos are left out and reported. Raises as
    `find_clips`."""
    others, images, videos = OtherFiles(root), [], []
    for folder, _, files in _folders(root):
        here = Path(folder).relative_to(root).as_posix()
        check_name(PurePosixPath(here))
        start = "" if here == "." else f"{here}/"
        suffixes = [(name, suffix_of(name)) for name in files if not name.startswith(".")]
        others.add(PurePosixPath(here), (pair for pair in suffixes if pair[1] not in READ))
        for name, suffix in suffixes:
            if suffix in IMAGE_SUFFIXES:
                images.append((f"{start}{name}", IMAGE, size_of(f"{folder}/{name}"), 0))
            elif suffix in VIDEO_SUFFIXES:
                videos.append(f"{start}{name}")
    for path in (*(row[0] for row in images), *videos):
        if not path.isascii():
            check_name(PurePosixPath(path))
    found = pl.DataFrame(images, schema=ENTRY_SCHEMA, orient="row").sort("path")
    return found, [
        *report("extra", "videos among stills, left out", pl.Series(sorted(videos), dtype=pl.String)),
        *others.skipped_media(),
    ]


def walk_clips(root: Path) -> Iterator[tuple[str, str]]:
    """Path and kind of everything below `root` that may be a clip, from the top down, in sorted order: videos, and
    folders with images ("." is the root). Raises as `find_clips`."""
    return ((path, kind) for path, kind, _, images in _walk(root, sizes=False) if kind == VIDEO or images)


def first_clips(root: Path, count: int) -> list[str]:
    """Paths of the first `count` clips below a folder, to recognise a dataset by their names. Raises as `find_clips`.

    It stops there: the tree may have millions of images.
    """
    if not root.is_dir():
        return []
    return [path for path, _ in islice(walk_clips(root), count)]


def _walk(root: Path, sizes: bool = True, others: OtherFiles | None = None) -> Iterator[Entry]:
    """Videos, and folders with images or with nothing to see; hidden ones are skipped.

    others: gets all other files
    """
    for folder, below, files in _folders(root):
        here = PurePosixPath(Path(folder).relative_to(root).as_posix())
        check_name(here)
        suffixes = [(name, suffix_of(name)) for name in files if not name.startswith(".")]
        videos = sorted(name for name, suffix in suffixes if suffix in VIDEO_SUFFIXES)
        images = sum(suffix in IMAGE_SUFFIXES for _, suffix in suffixes)
        if others:
            others.add(here, (pair for pair in suffixes if pair[1] not in READ))
        if images or not (videos or below):
            yield str(here), FRAME_FOLDER, None, images
        for name in videos:
            check_name(here / name)
            yield str(here / name), VIDEO, size_of(Path(folder) / name) if sizes else None, 0


def _folders(root: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """os.walk in sorted order. Follows links to folders, since data are often on another disk, but not back up."""
    above: list[tuple[int, int]] = []
    for folder, below, files in os.walk(root, onerror=_refuse, followlinks=True):
        try:
            status = os.stat(folder)  # noqa: PTH116 (many folders)
        except OSError as error:
            _refuse(error)
        depth = len(Path(folder).relative_to(root).parts)
        above[depth:] = [(status.st_dev, status.st_ino)]
        if above[-1] in above[:-1]:
            below.clear()
            continue
        below[:] = sorted(name for name in below if may_have_clips(name))
        yield folder, below, files


def _containers(clips: Iterator[str]) -> set[str]:
    """All folders that contain one of these clips, at any depth."""
    containers: set[str] = set()
    for clip in clips:
        folder = clip.rpartition("/")[0]
        while folder and folder not in containers:
            containers.add(folder)
            folder = folder.rpartition("/")[0]
    return containers


def _ignored_images(folders: list[Entry]) -> list[Problem]:
    """The problem of images that are not frames; its count is of images."""
    if not folders:
        return []
    more = f" and {counted(len(folders) - 1, 'more folder')}" if len(folders) > 1 else ""
    text = f"images next to or above clips, ignored, in {folders[0][0]}{more}"
    return [Problem(kind="images", text=text, count=sum(images for _, _, _, images in folders))]


def _refuse(error: OSError) -> None:
    raise UserError(f"{error.filename}: {error.strerror}; make it readable, or move it elsewhere") from None
