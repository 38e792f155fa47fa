"""Run MediaPipe's face detector (BlazeFace) and face landmarker, without network traffic.

mediapipe 1.2 looks up a logging host when a detector is used (google-ai-edge/mediapipe#6291) and has no option to
turn that off. Faces of study participants must not leave the machine, so its HTTPS client is pointed at a closed
local port before the library is loaded.
"""

import ctypes
import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dfer.schemas.blendshapes import BLENDSHAPES
from dfer.schemas.support.errors import UserError

if TYPE_CHECKING:
    from mediapipe.tasks.python.vision import FaceDetector
else:
    FaceDetector = object

NO_NETWORK = {"https_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}
# What mediapipe and the OpenCV that it brings load, with the Debian packages. libgl1 brings X11's libraries.
SYSTEM_LIBRARIES = {
    "libEGL.so.1": "libegl1",
    "libGLESv2.so.2": "libgles2",
    "libGL.so.1": "libgl1",
    "libgthread-2.0.so.0": "libglib2.0-0",
}

_open_detectors: list[Any] = []


@dataclass(frozen=True, kw_only=True)
class BlazeFaceBox:
    """A face as BlazeFace gives it.

    x, y, width, height: upper left corner and size, pixels
    score: 0–1
    down: vector from between the eyes to the mouth, pixels
    """

    x: float
    y: float
    width: float
    height: float
    score: float
    down: tuple[float, float]


def face_detector(model: bytes, min_score: float) -> FaceDetector:
    """Load BlazeFace; call `close_detectors` before the process ends.

    model: content of the .tflite file
    min_score: weaker detections are dropped, 0–1

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
    """Close all detectors of this process; they cannot be used again.

    Call it before the process ends: MediaPipe's own clean-up runs too late and prints a traceback.
    """
    while _open_detectors:
        _open_detectors.pop().close()


def expression_scores(landmarker: Path, image: np.ndarray) -> np.ndarray:
    """Compute the blendshape scores of the face in an image.

    landmarker: the model file
    image: (H, W, 3) uint8

    Returns (52,) float32, 0–1, in the order of `schemas.blendshapes`; NaN where no face is seen.
    Raises UserError as `face_detector` does.
    """
    from mediapipe import Image, ImageFormat

    picture = Image(image_format=ImageFormat.SRGB, data=np.ascontiguousarray(image))
    faces = _face_landmarker(landmarker).detect(picture).face_blendshapes
    scores = np.full(len(BLENDSHAPES), np.nan, np.float32)
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


def detect(detector: FaceDetector, frame: np.ndarray) -> list[BlazeFaceBox]:
    """Detect the faces of a frame (H, W, 3) uint8."""
    from mediapipe import Image, ImageFormat

    image = Image(image_format=ImageFormat.SRGB, data=np.ascontiguousarray(frame))
    return [_to_box(found, *frame.shape[:2]) for found in detector.detect(image).detections]


def _to_box(found: Any, height: int, width: int) -> BlazeFaceBox:
    one_eye, other_eye, _, mouth = found.keypoints[:4]  # shares of width and height
    return BlazeFaceBox(
        x=found.bounding_box.origin_x,
        y=found.bounding_box.origin_y,
        width=found.bounding_box.width,
        height=found.bounding_box.height,
        score=found.categories[0].score,
        down=(
            width * (mouth.x - (one_eye.x + other_eye.x) / 2),
            height * (mouth.y - (one_eye.y + other_eye.y) / 2),
        ),
    )


@contextmanager
def _loading() -> Iterator[None]:
    """Load a part of MediaPipe without network. Raises UserError that says what is missing where it fails."""
    _block_network()
    try:
        yield
    except (ImportError, OSError) as error:
        raise UserError(f"cannot load mediapipe: {error}; {fix_system_libraries()}") from error


def _block_network() -> None:
    """Set NO_NETWORK in the C library's environment, which MediaPipe reads.

    os.environ keeps its values, so that Python code in this process (urllib, a subprocess with `env=os.environ`)
    reaches the network as before.
    """
    libc = ctypes.CDLL(None)
    for name, value in NO_NETWORK.items():
        libc.setenv(name.encode(), value.encode(), 1)


def missing_system_libraries() -> list[str]:
    """List the Debian packages of the system libraries that mediapipe loads and this machine lacks."""
    missing = []
    for library, package in SYSTEM_LIBRARIES.items():
        try:
            ctypes.CDLL(library)
        except OSError:
            missing.append(package)
    return missing


def fix_system_libraries() -> str:
    """Say what to do when mediapipe does not load."""
    packages = missing_system_libraries() or sorted(SYSTEM_LIBRARIES.values())
    return f"on Debian or Ubuntu: apt-get install {' '.join(packages)}; without root: extract with --detector hog"
