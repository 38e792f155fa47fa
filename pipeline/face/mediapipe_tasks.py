"""The little of MediaPipe that the pipeline uses, without its network traffic and its noise.

mediapipe 1.2 looks up a logging host when a detector is used (google-ai-edge/mediapipe#6291) and has no
switch against it. Faces of study participants are handled here, so its HTTPS client is pointed at a closed
local port before the library is loaded.
"""

import ctypes
import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dfer.schemas.support.errors import UserError

if TYPE_CHECKING:
    from mediapipe.tasks.python.vision import FaceDetector
else:
    FaceDetector = object

NO_NETWORK = {"https_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}
SYSTEM_LIBRARIES = {"libEGL.so.1": "libegl1", "libGLESv2.so.2": "libgles2", "libGL.so.1": "libgl1"}

BLENDSHAPES = 52

_open_detectors: list[Any] = []


@dataclass(frozen=True, kw_only=True)
class Face:
    """BlazeFace's own box, pixels: corner, width, height; score 0–1."""

    x: float
    y: float
    width: float
    height: float
    score: float


def face_detector(model: bytes, min_score: float) -> FaceDetector:
    """A BlazeFace detector, to be closed with `close_detectors` before the process ends.

    Raises UserError where a system library that mediapipe needs is missing.
    """
    with _loading():
        from mediapipe.tasks.python import BaseOptions
        from mediapipe.tasks.python.vision import FaceDetector, FaceDetectorOptions

        options = FaceDetectorOptions(
            base_options=BaseOptions(model_asset_buffer=model), min_detection_confidence=min_score
        )
        detector = FaceDetector.create_from_options(options)
    _open_detectors.append(detector)
    return detector


def close_detectors() -> None:
    """Close every detector of this process; they cannot be used again.

    To be called before the process ends: MediaPipe's own clean-up runs too late there and prints a traceback.
    """
    while _open_detectors:
        _open_detectors.pop().close()


def expression_scores(landmarker: Path, image: np.ndarray) -> np.ndarray:
    """The 52 blendshape scores (52,) float32, 0–1, of the face in an image (H, W, 3) uint8; NaN where none is seen.

    In MediaPipe's order. Raises UserError as `face_detector` does.
    """
    from mediapipe import Image, ImageFormat

    picture = Image(image_format=ImageFormat.SRGB, data=np.ascontiguousarray(image))
    faces = _face_landmarker(landmarker).detect(picture).face_blendshapes
    scores = np.full(BLENDSHAPES, np.nan, np.float32)
    if faces:
        scores[[category.index for category in faces[0]]] = [category.score for category in faces[0]]
    return scores


@functools.cache
def _face_landmarker(bundle: Path) -> Any:
    with _loading():
        from mediapipe.tasks.python import BaseOptions
        from mediapipe.tasks.python.vision import FaceLandmarker, FaceLandmarkerOptions

        options = FaceLandmarkerOptions(
            base_options=BaseOptions(model_asset_buffer=bundle.read_bytes()), output_face_blendshapes=True
        )
        landmarker = FaceLandmarker.create_from_options(options)
    _open_detectors.append(landmarker)
    return landmarker


def detect(detector: FaceDetector, frame: np.ndarray) -> list[Face]:
    """All faces of a frame (H, W, 3) uint8."""
    from mediapipe import Image, ImageFormat

    image = Image(image_format=ImageFormat.SRGB, data=np.ascontiguousarray(frame))
    return [
        Face(
            x=found.bounding_box.origin_x,
            y=found.bounding_box.origin_y,
            width=found.bounding_box.width,
            height=found.bounding_box.height,
            score=found.categories[0].score,
        )
        for found in detector.detect(image).detections
    ]


@contextmanager
def _loading() -> Iterator[None]:
    """Load and start a part of MediaPipe: without network, and with a line for what it lacks. Raises UserError."""
    _block_network()
    try:
        yield
    except (ImportError, OSError) as error:
        raise UserError(f"mediapipe does not load: {error}; {mend_system_libraries()}") from error


def _block_network() -> None:
    """Set NO_NETWORK where MediaPipe's C code reads it, and nowhere else if that can be helped.

    os.environ keeps its values, so that Python code in the same process (urllib, a program started with
    `env=os.environ`) reaches the network as before.
    """
    if os.name != "posix":
        os.environ.update(NO_NETWORK)
        return
    libc = ctypes.CDLL(None)
    for name, value in NO_NETWORK.items():
        libc.setenv(name.encode(), value.encode(), 1)


def missing_system_libraries() -> list[str]:
    """The Debian packages of the graphics libraries that mediapipe loads and this machine lacks."""
    missing = []
    for library, package in SYSTEM_LIBRARIES.items():
        try:
            ctypes.CDLL(library)
        except OSError:
            missing.append(package)
    return missing


def mend_system_libraries() -> str:
    """What to type when mediapipe does not load."""
    packages = missing_system_libraries() or sorted(SYSTEM_LIBRARIES.values())
    return f"on Debian or Ubuntu: apt-get install {' '.join(packages)}"
