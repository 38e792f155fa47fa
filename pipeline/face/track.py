"""Track one person from frame to frame: choose a detection in each, bridge gaps, find the cuts between shots."""

import itertools
from collections.abc import Callable, Collection, Sequence

import numpy as np

from dfer.pipeline.face.detect import TRACKER, Detection

# Mean difference of two frames' thumbnails, 0–255, above which there may be a cut between them. Measured:
# up to 28 for hand-held cameras and moving crowds, 85 and 102 at real cuts.
CUT_THRESHOLD = 40.0
# Peak to side-lobe ratio above which dlib's correlation tracker still has the face. Measured: 4–6 on frames
# without it, 9–30 with it.
MIN_PSR = 8.0
MAX_MOVE = (
    1.5  # how far a head may move between two sampled frames (possibly seconds apart), in sides of its box
)
MAX_SCALE_LOG2 = 1.0  # how much its size may change meanwhile


def track_face(
    frames: Sequence[Sequence[Detection]],
    cuts: Collection[int] = (),
    same_person: Callable[[int, Detection, int, Detection], bool] = lambda *faces: False,
) -> list[Detection | None]:
    """Choose one person, and the detection of this person in each frame.

    frames: the detections of each frame
    cuts: frames before which there is a cut
    same_person: whether (frame, face, frame, face) show one person; called across cuts only

    Returns one detection or None a frame; all are None where no detection of the person is confident.

    The person is the heaviest chain of detections that one head could have moved between: it weighs the sum of
    their sides less the cost of the moves. So a face that stays beats a larger one that passes. A chain crosses a
    cut only from the last frame with faces before it to the first one after it.
    """
    nodes = [(t, face) for t, found in enumerate(frames) for face in found]
    weight: list[float] = []
    before: list[int | None] = []
    for j, (t, face) in enumerate(nodes):
        links = [
            (weight[i] - cost, i)
            for i in range(j)
            if nodes[i][0] < t and (cost := _cost(nodes[i], nodes[j], frames, cuts, same_person)) < weight[i]
        ]
        gain, previous = max(links, default=(0.0, None))
        weight.append(face.side + gain)
        before.append(previous)
    chosen: list[Detection | None] = [None] * len(frames)
    at = int(np.argmax(weight)) if nodes else None
    while at is not None:
        chosen[nodes[at][0]] = nodes[at][1]
        at = before[at]
    return chosen if any(face and face.confident for face in chosen) else [None] * len(frames)


def interpolate_boxes(tracked: Sequence[Detection | None]) -> np.ndarray:
    """Give every frame a box (m, 4): the tracked face's, interpolated where it was not found.

    Before the first and after the last detection the box stays where it was. At least one frame has a face.
    """
    known = [t for t, face in enumerate(tracked) if face]
    boxes = np.array([tracked[t].box for t in known])
    return np.stack([np.interp(range(len(tracked)), known, boxes[:, i]) for i in range(4)], axis=1)


def thumbnail(frame: np.ndarray) -> np.ndarray:
    """Pick about 16 × 16 pixels of a frame (H, W, 3), float32, to find cuts by."""
    steps = (max(1, length // 16) for length in frame.shape[:2])
    rows, columns = (slice(step // 2, None, step) for step in steps)
    return frame[rows, columns].astype(np.float32)


def find_cuts(thumbnails: Sequence[np.ndarray]) -> list[int]:
    """Find the frames before which there may be a cut: their thumbnail differs, or has another size."""
    pairs = itertools.pairwise(thumbnails)
    return [
        t
        for t, (a, b) in enumerate(pairs, 1)
        if a.shape != b.shape or float(np.abs(a - b).mean()) > CUT_THRESHOLD
    ]


def cut_between(first: int, second: int, cuts: Collection[int]) -> bool:
    """Whether there is a cut between two frames, in either order."""
    low, high = sorted((first, second))
    return any(low < cut <= high for cut in cuts)


def correlation_track(start: np.ndarray, box: np.ndarray, image: np.ndarray) -> Detection | None:
    """Find the face of one image in another image of the same scene, by dlib's correlation tracker.

    start, image: (h, w, 3) uint8, of one size
    box: the face in `start`, x0, y0, x1, y1 in pixels

    Returns None where the tracker loses the face.
    """
    import dlib

    tracker = dlib.correlation_tracker()
    guess = dlib.drectangle(*map(float, box))
    tracker.start_track(np.ascontiguousarray(start), guess)
    score = tracker.update(np.ascontiguousarray(image), guess)
    if not score >= MIN_PSR:  # NaN where the image is black
        return None
    found = tracker.get_position()
    return Detection(
        box=(found.left(), found.top(), found.right(), found.bottom()), score=score, detector=TRACKER
    )


def _cost(
    start: tuple[int, Detection],
    end: tuple[int, Detection],
    frames: Sequence[Sequence[Detection]],
    cuts: Collection[int],
    same_person: Callable[[int, Detection, int, Detection], bool],
) -> float:
    """Price a move between two detections (frame, face), in pixels; infinite where they cannot be one person."""
    (s, a), (t, b) = start, end
    side = (a.side + b.side) / 2
    if cut_between(s, t, cuts):
        neighbours = not any(frames[s + 1 : t])
        return side / 2 if neighbours and same_person(s, a, t, b) else np.inf
    move = float(np.hypot(a.centre[0] - b.centre[0], a.centre[1] - b.centre[1])) / side
    scale = abs(float(np.log2(a.side / b.side)))
    return side * (move + scale) / 2 if move < MAX_MOVE and scale < MAX_SCALE_LOG2 else np.inf
