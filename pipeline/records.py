"""What flows through an extraction: facts about a source, a face through its frames, what became of a clip."""

from dataclasses import dataclass

import numpy as np


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


@dataclass(frozen=True, kw_only=True)
class StoredFace:
    """A followed face as an earlier extraction left it, source pixels; no positions: there was none.

    positions: m frame numbers; detector, score: m entries, None where carried over; boxes: (m, 4); landmarks:
    (m, 68, 2); warning: what was said of it.
    """

    positions: list[int]
    detector: list[str | None]
    score: list[float | None]
    boxes: np.ndarray
    landmarks: np.ndarray
    warning: str | None


@dataclass(frozen=True, kw_only=True)
class Track:
    """One face through the m kept frames of a clip. Coordinates are source pixels unless named otherwise.

    source_frame: (m,) int; time_s, detector, score: m entries, None where unknown or carried over;
    box: (m, 4); landmarks: (m, 68, 2); keypoints: (m, 18, 2); transform: (m, 2, 3) source to crop;
    crop_keypoints: (m, 18, 2) crop pixels; crops: m JPEGs; blendshapes: (m, 52) float32, NaN where MediaPipe
    sees no face, None unless asked for.
    """

    source_frame: list[int]
    time_s: list[float | None]
    detector: list[str | None]
    score: list[float | None]
    box: np.ndarray
    landmarks: np.ndarray
    keypoints: np.ndarray
    transform: np.ndarray
    crop_keypoints: np.ndarray
    crops: list[bytes]
    blendshapes: np.ndarray | None


@dataclass(frozen=True, kw_only=True)
class ExtractedClip:
    """What became of a clip: its status (`schemas.cache`), the reason where it is not ok, and its track if it is.

    reused: whether its face was taken from an earlier cache.
    """

    status: str
    reason: str | None = None
    facts: SourceFacts | None = None
    fingerprint: str | None = None
    track: Track | None = None
    reused: bool = False
