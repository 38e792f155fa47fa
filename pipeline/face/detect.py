"""Detect the faces in one frame: a cascade of detectors, each tried where those before found no sure face.

A box is (x0, y0, x1, y1) in pixels of the frame, in the convention of dlib's detector whatever found it, because
dlib's 68 landmarks start from such a box.
"""

import functools
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dfer.pipeline.config import BLAZEFACE, FACE, HOG, SCENE, ExtractConfig
from dfer.pipeline.face import mediapipe_tasks
from dfer.pipeline.face.align import count_turns
from dfer.pipeline.face.enlarge import AS_IT_IS, SMALLEST_FRAME, View

TILE = "blazeface_tile"  # BlazeFace on an enlarged part of the frame
TRACKER = "tracker"  # not detected, but tracked from a frame in which it was
WHOLE_FRAME = "whole_frame"  # the input is already a face crop

HOG_LONGEST_SIDE = 640  # pixels; larger frames are shrunk to it: 22 ms a frame instead of 190 at 1080p
MAX_FACES = 8  # of a frame, the largest
# Score from which one detection alone proves a face. Measured on wild clips without a human face: BlazeFace gives up
# to 0.74 for backs, lettering and drawings (up to 0.87 for cats and drawn people, which no score tells from faces),
# HOG 0.1. Upright faces of 48 pixels and more reach 0.8 in every clip.
CONFIDENT_SCORE = 0.75
CONFIDENT_HOG_SCORE = 0.4
TILE_SCORE = 0.7  # lowest score of a face in a tile
# Below it, a face is looked at again in a tile of its own. Measured: where BlazeFace takes hair and neck for a part
# of a small face, its score in the frame is 0.5–0.77, and 0.83–0.96 with the right box in the tile.
SURE_SCORE = 0.8
CLOSER = 1.5  # how much larger than in the frame a face must be in its tile for that to be a closer look
PREVIOUS_FACES = 3  # faces of the previous frame around which tiles are searched first
SMALLEST_TILE = 160  # pixels; faces that need a smaller tile are too small for 68 landmarks


@dataclass(frozen=True, kw_only=True)
class Detection:
    """A face in one frame.

    box: x0, y0, x1, y1, pixels
    score: on the detector's own scale
    detector: its name
    turns: quarter turns, 0–3, counter-clockwise as np.rot90's, that make the face upright
    confirmed: whether MediaPipe's landmarker was asked and sees it too
    """

    box: tuple[float, float, float, float]
    score: float
    detector: str
    turns: int = 0
    confirmed: bool = False

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
        if self.detector == HOG:
            return self.score >= CONFIDENT_HOG_SCORE
        return self.confirmed or self.detector == WHOLE_FRAME or self.score >= CONFIDENT_SCORE


def detect(
    frame: np.ndarray,
    landmarker: Path,
    config: ExtractConfig,
    previous: Sequence[Detection] = (),
    view: View = AS_IT_IS,
) -> list[Detection]:
    """Detect the faces of a frame, the largest first.

    frame: (H, W, 3) uint8, as `view` shows it
    landmarker: the model file with BlazeFace
    config: `detector`, `min_score` for BlazeFace, and `input`
    previous: the faces of the previous frame, around which tiles are searched first
    view: a small frame is not searched on tiles, which would show little more of it; a weak face there needs
        MediaPipe's landmarker to see it too

    Runs BlazeFace on the frame. Where that finds no sure face: BlazeFace on enlarged tiles around what it found and
    around the previous faces. Where there is still no confident face: BlazeFace on a grid of tiles, then dlib's HOG.
    With `--detector hog`, only HOG is run. With `--input face` only the frame is searched; without a face in it, the
    frame itself is the face.
    """
    if min(frame.shape[:2]) < SMALLEST_FRAME:
        return []
    hog_only = config.detector == HOG
    found = _hog(frame) if hog_only else _blazeface(frame, landmarker, config.min_score)
    if config.input == FACE:
        height, width = frame.shape[:2]
        low, right, bottom = view.border, width - view.border, height - view.border
        found = found or [Detection(box=(low, low, right, bottom), score=1.0, detector=WHOLE_FRAME)]
    elif view != AS_IT_IS and not hog_only and not any(face.confident for face in found):
        found = _confirm(frame, landmarker, found) or _hog(frame)
    elif view == AS_IT_IS and not hog_only and not any(face.score >= SURE_SCORE for face in found):
        found = _look_closer(frame, landmarker, config.min_score, found, previous)
    return _largest(found)


def detect_others(
    frame: np.ndarray,
    landmarker: Path,
    config: ExtractConfig,
    found: Sequence[Detection],
    previous: Sequence[Detection] = (),
) -> list[Detection]:
    """Add to the faces that `detect` found those that tiles show, the largest first.

    frame: (H, W, 3) uint8
    found, previous: the faces of this frame, and those of the frame before

    Next to a sure face, BlazeFace misses others in the frame, small in it or far to the side. Sure faces stay as they
    are. Of others that touch, the best stays.
    """
    height, width = frame.shape[:2]
    sure = [face for face in found if face.score >= SURE_SCORE]
    unsure = [face for face in found if face.score < SURE_SCORE]
    lost = [face for face in previous if not any(touch(face, other) for other in found)]
    tiles = [tile_around(face, height, width) for face in (*unsure, *lost)] + tile_grid(height, width)
    others = _on_tiles(frame, landmarker, config.min_score, tiles)
    kept: list[Detection] = []
    for face in (*sure, *sorted([*unsure, *others], key=lambda d: d.score, reverse=True)):
        if not any(touch(face, other) for other in kept):
            kept.append(face)
    return _largest(kept)


def searches_closer(config: ExtractConfig) -> bool:
    """Whether parts of frames are searched too: not of face crops, and only by BlazeFace."""
    return config.input == SCENE and config.detector == BLAZEFACE


def detect_near(
    frame: np.ndarray, landmarker: Path, config: ExtractConfig, box: Sequence[float]
) -> list[Detection]:
    """Detect the confident faces of a frame (H, W, 3) uint8 around a box x0, y0, x1, y1, pixels."""
    guess = Detection(box=tuple(box), score=0.0, detector=TRACKER)
    return _on_tiles(frame, landmarker, config.min_score, [tile_around(guess, *frame.shape[:2])])


def detect_thoroughly(
    frame: np.ndarray, landmarker: Path, config: ExtractConfig, levels: int
) -> list[Detection]:
    """Detect the confident faces of a frame (H, W, 3) uint8 on tiles of this many sizes; 4 are some 100 at 1080p."""
    height, width = frame.shape[:2]
    return _on_tiles(frame, landmarker, config.min_score, tile_grid(height, width, levels))


def _look_closer(
    frame: np.ndarray,
    landmarker: Path,
    min_score: float,
    found: Sequence[Detection],
    previous: Sequence[Detection],
) -> list[Detection]:
    """Search the parts of a frame in which BlazeFace found no sure face (the short-range model misses small ones)."""
    height, width = frame.shape[:2]
    tiles = {face: tile_around(face, height, width) for face in (*found, *previous[:PREVIOUS_FACES])}
    closer = _on_tiles(frame, landmarker, min_score, tiles.values())
    if not closer and not any(face.confident for face in found):
        closer = _on_tiles(frame, landmarker, min_score, tile_grid(height, width)) or _hog(frame)
    # What a closer look saw is better than the first one, and what it did not confirm is no face.
    unseen = [face for face in found if not any(touch(face, other) for other in closer)]
    return closer + [face for face in unseen if max(height, width) < CLOSER * tiles[face][2]]


def _confirm(frame: np.ndarray, landmarker: Path, found: Sequence[Detection]) -> list[Detection]:
    """The best of these weak faces, where MediaPipe's landmarker sees a face in the frame too."""
    if not found or np.isnan(mediapipe_tasks.expression_scores(landmarker, frame)).any():
        return []
    return [replace(max(found, key=lambda face: face.score * face.side), confirmed=True)]


def _blazeface(frame: np.ndarray, landmarker: Path, min_score: float) -> list[Detection]:
    found = mediapipe_tasks.detect(_blazeface_detector(landmarker, min_score), frame)
    return [_from_blazeface(face, BLAZEFACE, 0, 0) for face in found]


def _from_blazeface(face: mediapipe_tasks.BlazeFaceBox, detector: str, left: int, top: int) -> Detection:
    # Measured against HOG's boxes: their centre is higher by 0.049 of the size, their side is 0.97 of it.
    side, turns = max(face.width, face.height), count_turns(face.down)
    up_x, up_y = ((0, -1), (1, 0), (0, 1), (-1, 0))[turns]
    x = left + face.x + face.width / 2 + 0.049 * side * up_x
    y = top + face.y + face.height / 2 + 0.049 * side * up_y
    half = 0.97 * side / 2
    box = (x - half, y - half, x + half, y + half)
    return Detection(box=box, score=face.score, detector=detector, turns=turns)


def _on_tiles(
    frame: np.ndarray, landmarker: Path, min_score: float, tiles: Iterable[tuple[int, int, int]]
) -> list[Detection]:
    """Detect the confident faces in parts (x, y, side) of a frame, 2 ms each; of overlapping ones, the best."""
    detector = _blazeface_detector(landmarker, min_score)
    found = [
        _from_blazeface(face, TILE, x, y)
        for x, y, side in tiles
        for face in mediapipe_tasks.detect(detector, frame[y : y + side, x : x + side])
        if face.score >= TILE_SCORE
    ]
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


def tile_grid(height: int, width: int, levels: int = 2) -> list[tuple[int, int, int]]:
    """Cover a frame with overlapping squares (x, y, side), pixels: as large as it allows, then half as large, …"""
    found = []
    for side in (min(height, width) >> level for level in range(levels)):
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


def _largest(found: Iterable[Detection]) -> list[Detection]:
    return sorted(found, key=lambda d: d.side, reverse=True)[:MAX_FACES]


def touch(a: Detection, b: Detection) -> bool:
    """Whether one box has the centre of the other in it."""
    return any(
        x0 < x < x1 and y0 < y < y1 for (x0, y0, x1, y1), (x, y) in ((a.box, b.centre), (b.box, a.centre))
    )


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
