"""One person through the frames of a clip: which detection of each frame is theirs, and where they were between."""

import itertools
from collections.abc import Callable, Collection, Sequence

import numpy as np

from dfer.pipeline.face.detect import TRACKER, Detection

# Mean difference of two frames' thumbnails, 0–255, above which there may be a cut between them. Measured:
# up to 28 for hand-held cameras and moving crowds, 85 and 102 at real cuts.
CUT = 40.0
# Peak to side-lobe ratio of dlib's correlation tracker above which it still holds the face. Measured: 4–6 on
# frames without it, 9–30 with it.
TRACKED = 8.0
REACH = 1.5  # sides of the face that a head may move between two sampled frames, which can lie seconds apart
GROWTH = 1.0  # binary orders of magnitude by which its size may change


def follow(
    frames: Sequence[Sequence[Detection]],
    cuts: Collection[int] = (),
    same_person: Callable[[int, Detection, int, Detection], bool] = lambda *faces: False,
) -> list[Detection | None]:
    """Choose one person: of each frame the detection that belongs to the clip's heaviest chain, or None.

    A chain joins detections of ascending frames that one head could have moved between; it weighs the sum
    of their sides, less what the moves cost. So a face that stays beats a larger one that only passes.
    A chain without a confident detection is not a face: then all are None.

    cuts: frames before which the picture changes at once; a chain crosses one only from the last frame with
    faces before it to the first one after it, and only if `same_person(frame, face, frame, face)` says so.
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


def carry_boxes(followed: Sequence[Detection | None]) -> np.ndarray:
    """A box for every frame, (frames, 4): the followed face's, interpolated where it was not found.

    Before the first and after the last finding the box stays where it was.
    Raises ValueError where no frame has a face.
    """
    known = [t for t, face in enumerate(followed) if face]
    if not known:
        raise ValueError("no frame has a face to carry over")
    boxes = np.array([followed[t].box for t in known])
    return np.stack([np.interp(range(len(followed)), known, boxes[:, i]) for i in range(4)], axis=1)


def thumbnail(frame: np.ndarray) -> np.ndarray:
    """Some 16 × 16 pixels of a frame (H, W, 3), to see cuts by: float32."""
    steps = (max(1, length // 16) for length in frame.shape[:2])
    rows, columns = (slice(step // 2, None, step) for step in steps)
    return frame[rows, columns].astype(np.float32)


def find_cuts(thumbnails: Sequence[np.ndarray]) -> list[int]:
    """The frames before which there may be a cut: their thumbnail differs, or has another size."""
    pairs = itertools.pairwise(thumbnails)
    return [t for t, (a, b) in enumerate(pairs, 1) if a.shape != b.shape or float(np.abs(a - b).mean()) > CUT]


def cut_between(first: int, second: int, cuts: Collection[int]) -> bool:
    """Whether a cut lies between two frames, in either order."""
    low, high = sorted((first, second))
    return any(low < cut <= high for cut in cuts)


def track(start: np.ndarray, box: np.ndarray, image: np.ndarray) -> Detection | None:
    """The face of one picture in another one of the same scene; None where the tracker loses it.

    start, image: (h, w, 3) uint8 of one size; box: the face in `start`, x0, y0, x1, y1.
    """
    import dlib

    tracker = dlib.correlation_tracker()
    guess = dlib.drectangle(*map(float, box))
    tracker.start_track(np.ascontiguousarray(start), guess)
    score = tracker.update(np.ascontiguousarray(image), guess)
    if not score >= TRACKED:  # NaN where the image is black
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
    """What it costs to take two detections for one person, in pixels; infinite where they cannot be."""
    (s, a), (t, b) = start, end
    side = (a.side + b.side) / 2
    if cut_between(s, t, cuts):
        neighbours = not any(frames[s + 1 : t])
        return side / 2 if neighbours and same_person(s, a, t, b) else np.inf
    distance = float(np.hypot(a.centre[0] - b.centre[0], a.centre[1] - b.centre[1])) / side
    growth = abs(float(np.log2(a.side / b.side)))
    return side * (distance + growth) / 2 if distance < REACH and growth < GROWTH else np.inf
