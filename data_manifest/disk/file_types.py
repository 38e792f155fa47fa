"""Which files are videos and which are images, by suffix."""

import os

VIDEO_SUFFIXES = frozenset(
    (
        *(".264", ".265", ".3g2", ".3gp", ".amv", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".gif"),
        *(".h264", ".h265", ".hevc", ".m1v", ".m2ts", ".m2v", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov"),
        *(".mp4", ".mp4v", ".mpe", ".mpeg", ".mpg", ".mpv", ".mts", ".mxf", ".ogm", ".ogv", ".qt", ".rm"),
        *(".rmvb", ".ts", ".vob", ".webm", ".wmv", ".xvid", ".y4m"),
    )
)
IMAGE_SUFFIXES = frozenset(
    (
        *(".avif", ".bmp", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".pnm", ".ppm"),
        *(".tif", ".tiff", ".webp"),
    )
)


def suffix_of(name: str) -> str:
    """A file name's suffix in lower case."""
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 (many names; a Path each would take seconds)
