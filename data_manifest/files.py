"""Which files and folders below a dataset's root are clips."""

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from schemas.errors import UserError
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
    """A clip on disk: its path relative to the dataset's root, VIDEO or FRAME_FOLDER, a video's size in bytes
    (None where it cannot be asked)."""

    path: PurePosixPath
    kind: str
    bytes: int | None = None


def find_clips(root: Path) -> list[FoundClip]:
    """Walk `root` in sorted order; a folder that holds images is one clip, any other video file is one.

    Hidden files and folders are passed over; links to folders are not followed, so a loop cannot trap it.
    Raises UserError where a folder cannot be read or a name is not UTF-8.
    """
    clips = []
    for folder, subfolders, files in os.walk(root, onerror=_raise):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        visible = sorted(name for name in files if not name.startswith("."))
        here = PurePosixPath(Path(folder).relative_to(root).as_posix())
        if any(Path(name).suffix.lower() in IMAGE_SUFFIXES for name in visible) and here.parts:
            clips.append(FoundClip(path=here, kind=FRAME_FOLDER))
        for name in (here.name, *visible):
            _check_name(here / name)
        videos = (name for name in visible if Path(name).suffix.lower() in VIDEO_SUFFIXES)
        clips += [
            FoundClip(path=here / name, kind=VIDEO, bytes=_size(Path(folder) / name)) for name in videos
        ]
    return clips


def _check_name(path: PurePosixPath) -> None:
    """Tables and JSON hold text. Raises UserError for a name that is none."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        shown = str(path).encode("utf-8", "backslashreplace").decode()
        raise UserError(f"{shown}: its name is not UTF-8; rename it") from None


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None  # a broken link; the clip's own row will say so


def _raise(error: OSError) -> None:
    raise UserError(f"{error.filename}: {error.strerror}; make it readable or move it away") from None
