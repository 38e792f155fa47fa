"""Which files are videos and which are images, by suffix."""

import os

VIDEO_SUFFIXES = frozenset(
    (
        *(".3gp", ".asf", ".avi", ".flv", ".gif", ".m4v", ".mjpeg", ".mkv", ".mov", ".mp4", ".mpeg"),
        *(".mpg", ".mts", ".ogv", ".ts", ".vob", ".webm", ".wmv"),
    )
)
IMAGE_SUFFIXES = frozenset((".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"))


def suffix_of(name: str) -> str:
    """A file name's suffix in lower case."""
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 (many names; a Path each would take seconds)
