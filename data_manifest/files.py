"""Which files and folders below a dataset's root are clips."""

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from schemas.manifest import FRAME_FOLDER, VIDEO

VIDEO_SUFFIXES = frozenset(
    (
        *(".3gp", ".asf", ".avi", ".flv", ".gif", ".m4v", ".mjpeg", ".mkv", ".mov", ".mp4", ".mpeg"),
        *(".mpg", ".mts", ".ogv", ".ts", ".vob", ".webm", ".wmv"),
    )
)
IMAGE_SUFFIXES = frozenset((".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"))


@dataclass(frozen=True, kw_only=True)
class FoundClip:
    """A clip on disk: its path relative to the dataset's root, and VIDEO or FRAME_FOLDER."""

    path: PurePosixPath
    kind: str


def find_clips(root: Path) -> list[FoundClip]:
    """Walk `root` in sorted order; a folder that holds images is one clip, any other video file is one.

    Hidden files and folders are passed over; links to folders are not followed, so a loop cannot trap it.
    Raises OSError where a folder cannot be read.
    """
    clips = []
    for folder, subfolders, files in os.walk(root, onerror=_raise):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        visible = sorted(name for name in files if not name.startswith("."))
        here = PurePosixPath(Path(folder).relative_to(root).as_posix())
        if any(Path(name).suffix.lower() in IMAGE_SUFFIXES for name in visible) and here.parts:
            clips.append(FoundClip(path=here, kind=FRAME_FOLDER))
        videos = (name for name in visible if Path(name).suffix.lower() in VIDEO_SUFFIXES)
        clips += [FoundClip(path=here / name, kind=VIDEO) for name in videos]
    return clips


def _raise(error: OSError) -> None:
    raise error
