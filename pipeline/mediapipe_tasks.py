"""The little of MediaPipe that the pipeline uses, without its network traffic and its noise.

mediapipe 1.2 looks up a logging host when a detector is used (google-ai-edge/mediapipe#6291) and has no
switch against it. Faces of study participants are handled here, so its HTTPS client is pointed at a closed
local port before the library is loaded.
"""

import ctypes
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from schemas.errors import UserError

if TYPE_CHECKING:
    from mediapipe.tasks.python.vision import FaceDetector
else:
    FaceDetector = object

NO_NETWORK = {"https_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}
SYSTEM_LIBRARIES = {"libEGL.so.1": "libegl1", "libGLESv2.so.2": "libgles2", "libGL.so.1": "libgl1"}

_open_detectors: list["FaceDetector"] = []


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
    _block_network()
    try:
        from mediapipe.tasks.python import BaseOptions
        from mediapipe.tasks.python.vision import FaceDetector, FaceDetectorOptions

        options = FaceDetectorOptions(
            base_options=BaseOptions(model_asset_buffer=model), min_detection_confidence=min_score
        )
        detector = FaceDetector.create_from_options(options)
    except (ImportError, OSError) as error:
        raise UserError(f"mediapipe does not load: {error}; {mend_system_libraries()}") from error
    _open_detectors.append(detector)
    return detector


def close_detectors() -> None:
    """Close every detector of this process; they cannot be used again.

    To be called before the process ends: MediaPipe's own clean-up runs too late there and prints a traceback.
    """
    while _open_detectors:
        _open_detectors.pop().close()


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
