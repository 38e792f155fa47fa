"""Find the 68 landmarks of a face with dlib's shape predictor (Kazemi and Sullivan 2014)."""

import functools
from pathlib import Path

import numpy as np


def find_landmarks(image: np.ndarray, box: np.ndarray, predictor: Path) -> np.ndarray:
    """Find the landmarks of the face in a box.

    image: (H, W, 3) uint8
    box: x0, y0, x1, y1, pixels of the image, in the convention of dlib's detector; it may exceed the image
    predictor: the model file

    Returns (68, 2) float64, x and y in pixels of the image.
    """
    return np.array([(p.x, p.y) for p in find_shape(image, box, predictor).parts()], np.float64)


def find_shape(image: np.ndarray, box: np.ndarray, predictor: Path):
    """As `find_landmarks`, but return dlib's own object, which dlib's other models take."""
    import dlib

    x0, y0, x1, y1 = (round(float(edge)) for edge in box)
    return _load(predictor)(image, dlib.rectangle(x0, y0, x1 - 1, y1 - 1))


@functools.cache
def _load(predictor: Path):
    import dlib

    return dlib.shape_predictor(str(predictor))
