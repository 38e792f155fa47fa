"""Say what is doubtful about a face that was found: rare, small, uncertain, or not upright."""

from collections.abc import Sequence

import numpy as np

from dfer.pipeline.face.align import count_turns, find_down
from dfer.pipeline.face.detect import HOG, TRACKER

RARE = 0.5  # share of the frames, below which the face is rare
SMALL = 40  # pixels, median side of the box, below which 68 landmarks are imprecise
# Best score of a clip, below which the face may be none. Measured: people reach 0.85 in 68 of 70 wild clips, cats,
# dogs and drawings stay below it in 6 of 7.
UNCERTAIN = 0.85
POSITIONS = ("upright", "on its side", "upside down", "on its side")  # by quarter turns


def describe_doubts(
    detector: Sequence[str | None], score: Sequence[float | None], boxes: np.ndarray, landmarks: np.ndarray
) -> list[str]:
    """List what a user should know about a tracked face, in fixed words.

    detector, score: m entries, None where the face was not found
    boxes: (m, 4) pixels
    landmarks: (m, 68, 2)
    """
    found = np.array([name is not None for name in detector])
    size = round(float(np.median((boxes[found, 2:] - boxes[found, :2]).max(1))))
    turns = [count_turns(down) for down in find_down(landmarks[found])]
    position = max(POSITIONS, key=[POSITIONS[k] for k in turns].count)
    doubts = []
    if found.mean() < RARE:
        doubts.append(f"a rare face: it was found in {found.sum()} of {len(found)} frames")
    if size < SMALL:
        doubts.append(f"a small face: {size} pixels")
    if best_score(detector, score) < UNCERTAIN:
        doubts.append("an uncertain face: no frame shows it clearly")
    if position != POSITIONS[0]:
        doubts.append(f"a face {position}")
    return doubts


def best_score(detector: Sequence[str | None], score: Sequence[float | None]) -> float:
    """Return the best score that a clip's face has from BlazeFace, 0–1; 0 if it has none."""
    scored = zip(detector, score, strict=True)
    return max((s for name, s in scored if name not in (None, HOG, TRACKER)), default=0.0)
