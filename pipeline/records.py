"""The records that flow through an extraction."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True, kw_only=True)
class SourceFacts:
    """What is known about a source. fps and duration_s are None where it does not say (frame folders).

    warning: what is odd about the source, None if nothing; a fixed text without paths
    """

    frames: int
    fps: float | None
    duration_s: float | None
    width: int
    height: int
    warning: str | None = None


@dataclass(frozen=True, kw_only=True)
class StoredFace:
    """A tracked face from an earlier extraction, in source pixels.

    positions: m frame numbers
    detector, score: m entries, None where the box was interpolated
    boxes: (m, 4)
    landmarks: (m, 68, 2)
    warning: the clip's source warning then
    """

    positions: list[int]
    detector: list[str | None]
    score: list[float | None]
    boxes: np.ndarray
    landmarks: np.ndarray
    warning: str | None


class StoredFaces(Protocol):
    """The faces of earlier extractions."""

    def find(self, fingerprint: str) -> tuple[StoredFace, ...] | None:
        """Return the faces of the clip with this content, one a person; None if it is not known."""


@dataclass(frozen=True, kw_only=True)
class Track:
    """One face through the m kept frames of a clip. Coordinates are source pixels unless stated otherwise.

    source_frame: m frame numbers
    time_s: m entries, seconds from the first frame of the source, None where unknown
    detector, score: m entries, None where the box was interpolated
    box: (m, 4) x0, y0, x1, y1
    landmarks: (m, 68, 2)
    keypoints: (m, K, 2)
    transform: (m, 2, 3) source to crop
    crop_landmarks: (m, 68, 2) crop pixels
    crop_keypoints: (m, K, 2) crop pixels
    crops: m JPEGs
    blendshapes: (m, 52) float32, 0–1, NaN where MediaPipe sees no face; None unless asked for
    """

    source_frame: list[int]
    time_s: list[float | None]
    detector: list[str | None]
    score: list[float | None]
    box: np.ndarray
    landmarks: np.ndarray
    keypoints: np.ndarray
    transform: np.ndarray
    crop_landmarks: np.ndarray
    crop_keypoints: np.ndarray
    crops: list[bytes]
    blendshapes: np.ndarray | None


@dataclass(frozen=True, kw_only=True)
class ExtractedClip:
    """The result of a clip.

    status: one of `schemas.cache`
    reason: why it is not ok, None if it is
    facts, fingerprint: None where the file could not be read
    track: None unless it is ok
    reused: whether the face was taken from an earlier cache
    others: the same clip with each further person, if several were asked for
    """

    status: str
    reason: str | None = None
    facts: SourceFacts | None = None
    fingerprint: str | None = None
    track: Track | None = None
    reused: bool = False
    others: "tuple[ExtractedClip, ...]" = ()
