"""Say what is doubtful about a face that was found: rare, small, uncertain, or not upright."""

from collections.abc import Sequence

import numpy as np

from dfer.pipeline.config import BLAZEFACE, HOG
from dfer.pipeline.face.align import count_turns, find_down
from dfer.pipeline.face.detect import CONFIDENT_SCORE, TILE, TRACKER, WHOLE_FRAME
from dfer.pipeline.face.enlarge import AS_IT_IS, View

RARE = 0.5  # share of the frames, below which the face is rare
SMALL = 40  # pixels, median side of the box, below which 68 landmarks are imprecise
SMALL_ENLARGED = 24  # in a picture shown enlarged (`enlarge`), 1 % of FER+'s; 45 % of its faces are below 40
# BlazeFace's score of a clear face. Measured: 72 of 72 wild clips of people have one, and 1 of 7 of cats, dogs and
# drawings.
CLEAR_SCORE = 0.85
CLEAR_SMALL_SCORE = CONFIDENT_SCORE  # of a picture shown with a border (`enlarge`): 92 % of the faces of FER+
CLEAR_HOG_SCORE = 0.8  # HOG's, on its own scale; 0.45 and 0.55 for a cat and a drawing
POSITIONS = ("upright", "on its side", "upside down", "on its side")  # by quarter turns


def describe_doubts(
    detector: Sequence[str | None],
    score: Sequence[float | None],
    boxes: np.ndarray,
    landmarks: np.ndarray,
    view: View = AS_IT_IS,
) -> list[str]:
    """List what a user should know about a tracked face, in fixed words.

    detector, score: m entries, None where the face was not found
    boxes: (m, 4) pixels of the source
    landmarks: (m, 68, 2)
    view: how the frames were shown to the detectors
    """
    found = np.array([name is not None for name in detector])
    size = round(float(np.median((boxes[found, 2:] - boxes[found, :2]).max(1))))
    turns = [count_turns(down) for down in find_down(landmarks[found])]
    position = max(POSITIONS, key=[POSITIONS[k] for k in turns].count)
    doubts = []
    if found.mean() < RARE:
        doubts.append(f"a rare face: it was found in {found.sum()} of {len(found)} frames")
    if size < (SMALL_ENLARGED if view.enlarges else SMALL):
        doubts.append(f"a small face: {size} pixels")
    if not is_clear(detector, score, CLEAR_SCORE if view == AS_IT_IS else CLEAR_SMALL_SCORE):
        doubts.append("an uncertain face: no frame shows it clearly")
    if position != POSITIONS[0]:
        doubts.append(f"a face {position}")
    return doubts


def is_clear(
    detector: Sequence[str | None], score: Sequence[float | None], clear_score: float = CLEAR_SCORE
) -> bool:
    """Whether some frame shows the face clearly (m entries each, None where it was not found)."""
    least = {HOG: CLEAR_HOG_SCORE, TRACKER: np.inf, WHOLE_FRAME: 0.0}
    return any(name and s >= least.get(name, clear_score) for name, s in zip(detector, score, strict=True))


def best_score(detector: Sequence[str | None], score: Sequence[float | None]) -> float:
    """Return BlazeFace's best score of the face, 0–1; 0 if it has none."""
    scored = zip(detector, score, strict=True)
    return max((s for name, s in scored if name in (BLAZEFACE, TILE)), default=0.0)
