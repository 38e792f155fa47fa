"""Frames to faces: detect every face of a frame, then follow one person through the clip.

A box is (x0, y0, x1, y1) in pixels of the frame, in the convention of dlib's detector, whatever found it:
that is what dlib's 68 points expect to start from.
"""

import functools
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline import mediapipe_tasks

BLAZEFACE = "blazeface"
HOG = "hog"
HOG_LONGEST_SIDE = 640  # larger frames are shrunk to it: 22 ms a frame instead of 190 at 1080p
CANDIDATES = 8  # faces of a frame that take part in following; a crowd's smallest are left out


@dataclass(frozen=True, kw_only=True)
class Detection:
    """A face in one frame. box: x0, y0, x1, y1; score: on the detector's own scale; detector: its name."""

    box: tuple[float, float, float, float]
    score: float
    detector: str

    @property
    def side(self) -> float:
        x0, y0, x1, y1 = self.box
        return ((x1 - x0) * (y1 - y0)) ** 0.5

    @property
    def centre(self) -> tuple[float, float]:
        x0, y0, x1, y1 = self.box
        return (x0 + x1) / 2, (y0 + y1) / 2


def detect(frame: np.ndarray, landmarker: Path, min_score: float) -> list[Detection]:
    """Find the faces of a frame (H, W, 3) uint8: BlazeFace, and dlib's HOG where that finds nothing."""
    found = _blazeface(frame, landmarker, min_score) or _hog(frame)
    return sorted(found, key=lambda d: d.side, reverse=True)[:CANDIDATES]


def follow(frames: Sequence[Sequence[Detection]]) -> list[Detection | None]:
    """Choose one person: of each frame the detection that belongs to the clip's heaviest chain, or None.

    A chain joins detections of ascending frames that one head could have moved between; it weighs the sum
    of their sides, less what the moves cost. So a face that stays beats a larger one that only passes.
    """
    nodes = [(t, d) for t, found in enumerate(frames) for d in found]
    weight: list[float] = []
    before: list[int | None] = []
    for j, (t, face) in enumerate(nodes):
        links = [(weight[i] - _move_cost(nodes[i], nodes[j]), i) for i in range(j) if nodes[i][0] < t]
        gain, previous = max(links, default=(0.0, None))
        weight.append(face.side + max(gain, 0.0))
        before.append(previous if gain > 0 else None)
    chosen: list[Detection | None] = [None] * len(frames)
    at = int(np.argmax(weight)) if nodes else None
    while at is not None:
        chosen[nodes[at][0]] = nodes[at][1]
        at = before[at]
    return chosen


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


def _move_cost(start: tuple[int, Detection], end: tuple[int, Detection]) -> float:
    """What it costs to take two detections for one head, in pixels; infinite where it is out of reach.

    Sampled frames may lie seconds apart, so the reach is generous: 1.5 face sides, and twice the size.
    """
    a, b = start[1], end[1]
    side = (a.side + b.side) / 2
    distance = float(np.hypot(a.centre[0] - b.centre[0], a.centre[1] - b.centre[1])) / side
    growth = abs(np.log2(a.side / b.side))
    return side * (distance + growth) / 2 if distance < 1.5 and growth < 1 else np.inf


def _blazeface(frame: np.ndarray, landmarker: Path, min_score: float) -> list[Detection]:
    found = mediapipe_tasks.detect(_blazeface_detector(landmarker, min_score), frame)
    return [_from_blazeface(face) for face in found]


def _from_blazeface(face: mediapipe_tasks.Face) -> Detection:
    # Measured against HOG's boxes: the centre lies 0.049 of the size higher, the side is 0.97 of it.
    side = max(face.width, face.height)
    x, y = face.x + face.width / 2, face.y + face.height / 2 - 0.049 * side
    half = 0.97 * side / 2
    return Detection(box=(x - half, y - half, x + half, y + half), score=face.score, detector=BLAZEFACE)


@functools.cache
def _blazeface_detector(landmarker: Path, min_score: float) -> mediapipe_tasks.FaceDetector:
    with zipfile.ZipFile(landmarker) as bundle:
        return mediapipe_tasks.face_detector(bundle.read("face_detector.tflite"), min_score)


def _hog(frame: np.ndarray) -> list[Detection]:
    from PIL import Image

    height, width = frame.shape[:2]
    shrink = max(1.0, max(height, width) / HOG_LONGEST_SIDE)
    if shrink > 1:
        size = round(width / shrink), round(height / shrink)
        frame = np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BOX))
    boxes, scores, _ = _hog_detector().run(frame, 0, 0.0)
    return [
        Detection(
            box=tuple(shrink * edge for edge in (b.left(), b.top(), b.right() + 1, b.bottom() + 1)),
            score=score,
            detector=HOG,
        )
        for b, score in zip(boxes, scores, strict=True)
    ]


@functools.cache
def _hog_detector():
    import dlib

    return dlib.get_frontal_face_detector()
