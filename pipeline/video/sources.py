"""What an open clip is, whatever it lies in on the disk."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from dfer.pipeline.records import SourceFacts


class DecodeError(Exception):
    """The clip cannot be decoded. The text is a fixed reason, free of paths and addresses."""


class Source(Protocol):
    """An open clip."""

    facts: SourceFacts

    def read(self, positions: Sequence[int]) -> Iterator[np.ndarray]:
        """The frames at ascending positions, each (H, W, 3) uint8 RGB. Raises DecodeError."""

    def times(self, positions: Sequence[int]) -> list[float | None]:
        """When these frames are shown, in seconds from the first frame."""
