"""The interface of an open clip, be it a video file or a frame folder."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from dfer.pipeline.records import SourceFacts

EMPTY_FILE = "the file is empty (0 bytes)"
NO_VIDEO_STREAM = "no video stream in the file (audio only?)"
NO_IMAGES = "the folder contains no images"
NOT_ON_DISK = "listed but not on disk"
UNKNOWN_TYPE = "unknown file type"
STILL_IMAGE = "a still image, not a video"
# How the reasons begin that --retry cannot change: a file that changed is extracted again without it.
LASTING = (EMPTY_FILE, NO_VIDEO_STREAM, NOT_ON_DISK, UNKNOWN_TYPE, STILL_IMAGE)


class DecodeError(Exception):
    """A clip cannot be decoded. The text is a fixed reason without paths or addresses."""


class Source(Protocol):
    """An open clip."""

    facts: SourceFacts

    def read(self, positions: Sequence[int]) -> Iterator[np.ndarray]:
        """Decode the frames at ascending positions, each (H, W, 3) uint8 RGB. Raises DecodeError."""

    def times(self, positions: Sequence[int]) -> list[float] | None:
        """When these frames are shown, in seconds from the first frame of the clip; None where unknown."""
