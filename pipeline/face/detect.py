"""Detect the faces in one frame: a cascade of detectors, each tried where those before found nothing.

A box is (x0, y0, x1, y1) in pixels of the frame, in the convention of dlib's detector whatever found it, because
dlib's 68 landmarks start from such a box.
"""

import functools
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dfer.pipeline.config import BLAZEFACE, FACE, HOG, ExtractConfig
from dfer.pipeline.face import mediapipe_tasks

TILE = "blazeface_tile"  # BlazeFace on an enlarged part of the frame
TRACKER = "tracker"  # not detected, but tracked from a frame in which it was
WHOLE_FRAME = "whole_frame"  # the input is already a face crop

HOG_LONGEST_SIDE = 640  # pixels; larger frames are shrunk to it: 22 ms a frame instead of 190 at 1080p
MAX_FACES = 8  # of a frame, the largest
# Measured: BlazeFace's false positives on animation without faces score up to 0.61, true faces on tiles 0.75–0.97.
CONFIDENT_SCORE = 0.7
PREVIOUS_FACES = 3  # faces of the previous frame around which tiles are searched first
SMALLEST_FRAME = 16  # pixels; below it there is no face, and HOG's and BlazeFace's scaling fail
SMALLEST_TILE = 160  # pixels; faces that need a smaller tile are too small for 68 landmarks


@dataclass(frozen=True, kw_only=True)
class Detection:
    """A face in one frame.

    box: x0, y0, x1, y1, pixels
    score: on the detector's own scale
    detector: its name
    """

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

    @property
    def confident(self) -> bool:
        """Whether it alone proves a face. A weak one counts only together with others of the same face."""
        return self.detector != BLAZEFACE or self.score >= CONFIDENT_SCORE


def detect(
    frame: np.ndarray, landmarker: Path, config: ExtractConfig, previous: Sequence[Detection] = ()
) -> list[Detection]:
    """Detect the faces of a frame, the largest first.

    frame: (H, W, 3) uint8
    landmarker: the model file with BlazeFace
    config: `detector`, `min_score` for BlazeFace, and `input`
    previous: the faces of the previous frame, around which tiles are searched first

    Runs BlazeFace on the frame. Where that finds nothing: BlazeFace on enlarged tiles, then dlib's HOG. With
    `--input face` these two are not run; the frame itself is then the face. With `--detector hog`, only HOG is run.
    """
    if min(frame.shape[:2]) < SMALLEST_FRAME:
        return []
    hog_only = config.detector == HOG
    found = _hog(frame) if hog_only else _blazeface(frame, landmarker, config.min_score)
    if not found and config.input == FACE:
        height, width = frame.shape[:2]
        found = [Detection(box=(0, 0, width, height), score=1.0, detector=WHOLE_FRAME)]
    if not found and not hog_only:
        found = _on_tiles(frame, landmarker, config.min_score, previous) or _hog(frame)
    return sorted(found, key=lambda d: d.side, reverse=True)[:MAX_FACES]


def _blazeface(frame: np.ndarray, landmarker: Path, min_score: float) -> list[Detection]:
    found = mediapipe_tasks.detect(_blazeface_detector(landmarker, min_score), frame)
    return [_from_blazeface(face, BLAZEFACE, 0, 0) for face in found]


def _from_blazeface(face: mediapipe_tasks.BlazeFaceBox, detector: str, left: int, top: int) -> Detection:
    # Measured against HOG's boxes: their centre is higher by 0.049 of the size, their side is 0.97 of it.
    side = max(face.width, face.height)
    x, y = left + face.x + face.width / 2, top + face.y + face.height / 2 - 0.049 * side
    half = 0.97 * side / 2
    return Detection(box=(x - half, y - half, x + half, y + half), score=face.score, detector=detector)


def _on_tiles(
    frame: np.ndarray, landmarker: Path, min_score: float, previous: Sequence[Detection]
) -> list[Detection]:
    """Detect faces that are too small in the frame for the short-range BlazeFace, but not in a part of it.

    The full grid (some 20 tiles, 2 ms each) is searched only where no face is found near the previous ones.
    """
    detector = _blazeface_detector(landmarker, min_score)

    def search(squares: Iterable[tuple[int, int, int]]) -> list[Detection]:
        return [
            _from_blazeface(face, TILE, x, y)
            for x, y, side in squares
            for face in mediapipe_tasks.detect(detector, frame[y : y + side, x : x + side])
            if face.score >= CONFIDENT_SCORE
        ]

    height, width = frame.shape[:2]
    found = search(tile_around(face, height, width) for face in previous[:PREVIOUS_FACES])
    found = found or search(tile_grid(height, width))
    kept: list[Detection] = []
    for face in sorted(found, key=lambda d: d.score, reverse=True):
        if all(overlap(face, other) < 0.3 for other in kept):
            kept.append(face)
    return kept


def tile_around(face: Detection, height: int, width: int) -> tuple[int, int, int]:
    """Return a square (x, y, side), pixels, in which a face is large enough for BlazeFace and has room to move."""
    side = min(round(4 * face.side), height, width)
    x, y = (round(c - side / 2) for c in face.centre)
    return max(0, min(x, width - side)), max(0, min(y, height - side)), side


def tile_grid(height: int, width: int) -> list[tuple[int, int, int]]:
    """Cover a frame with overlapping squares (x, y, side), pixels: as large as it allows, then half as large."""
    found = []
    for side in (min(height, width), min(height, width) // 2):
        if side < SMALLEST_TILE:
            break
        starts = [
            np.linspace(0, length - side, 1 + int(np.ceil((length - side) / (0.6 * side)))).astype(int)
            for length in (height, width)
        ]
        found += [(int(x), int(y), side) for y in starts[0] for x in starts[1]]
    return found


def overlap(a: Detection, b: Detection) -> float:
    """Compute the intersection over union of two boxes, 0–1."""
    width = min(a.box[2], b.box[2]) - max(a.box[0], b.box[0])
    height = min(a.box[3], b.box[3]) - max(a.box[1], b.box[1])
    shared = max(0.0, width) * max(0.0, height)
    return shared / (a.side**2 + b.side**2 - shared)


@functools.cache
def _blazeface_detector(landmarker: Path, min_score: float) -> mediapipe_tasks.FaceDetector:
    with zipfile.ZipFile(landmarker) as bundle:
        return mediapipe_tasks.face_detector(bundle.read("face_detector.tflite"), min_score)


def _hog(frame: np.ndarray) -> list[Detection]:
    from PIL import Image

    height, width = frame.shape[:2]
    shrink = max(1.0, max(height, width) / HOG_LONGEST_SIDE)
    if shrink > 1:
        size = max(1, round(width / shrink)), max(1, round(height / shrink))
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
