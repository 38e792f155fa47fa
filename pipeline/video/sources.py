"""What an open clip is, whatever it lies in on the disk."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np


class DecodeError(Exception):
    """The clip cannot be decoded. The text is a fixed reason, free of paths and addresses."""


@dataclass(frozen=True, kw_only=True)
class SourceFacts:
    """What the container says. fps and duration_s are None for frame folders.

    warning: what is odd about the source, None where nothing is; fixed texts, free of paths.
    """

    frames: int
    fps: float | None
    duration_s: float | None
    width: int
    height: int
    warning: str | None = None


class Source(Protocol):
    """An open clip."""

    facts: SourceFacts

    def read(self, positions: Sequence[int]) -> Iterator[np.ndarray]:
        """The frames at ascending positions, each (H, W, 3) uint8 RGB. Raises DecodeError."""

    def times(self, positions: Sequence[int]) -> list[float | None]:
        """When these frames are shown, in seconds from the first frame."""
