"""Open a clip as an extraction does when nothing is wrong with its frames."""

from pathlib import Path

from dfer.pipeline.video import decode
from dfer.pipeline.video.sources import DecodeError, Source


def open_clip(path: Path) -> Source:
    """Open a clip in the first way that works. Raises the DecodeError of the first way where none does."""
    first = None
    for way in decode.ways_to_read(path):
        try:
            return way()
        except DecodeError as error:
            first = first or error
    raise first
