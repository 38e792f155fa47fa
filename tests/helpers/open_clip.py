"""Open a clip as an extraction does when all its frames can be decoded."""

from pathlib import Path

from dfer.pipeline.video.clip_files import ways_to_open
from dfer.pipeline.video.sources import DecodeError, Source


def open_clip(path: Path) -> Source:
    """Open a clip in the first way that works. Raises the first way's DecodeError where none does."""
    first = None
    for open_source in ways_to_open(path):
        try:
            return open_source()
        except DecodeError as error:
            first = first or error
    raise first
