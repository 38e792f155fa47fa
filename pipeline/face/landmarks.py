"""A face box to 68 landmarks, by dlib's shape predictor (Kazemi and Sullivan 2014)."""

import functools
from pathlib import Path

import numpy as np


def find_landmarks(image: np.ndarray, box: np.ndarray, predictor: Path) -> np.ndarray:
    """The 68 landmarks of the face in `box`: (68, 2) float64, x and y in pixels of the image.

    image: (H, W, 3) uint8; box: x0, y0, x1, y1 in its pixels, dlib's convention; it may reach beyond it.
    """
    return np.array([(p.x, p.y) for p in find_shape(image, box, predictor).parts()], np.float64)


def find_shape(image: np.ndarray, box: np.ndarray, predictor: Path):
    """The same as dlib's own object, which other parts of dlib take."""
    import dlib

    x0, y0, x1, y1 = (round(float(edge)) for edge in box)
    return _load(predictor)(image, dlib.rectangle(x0, y0, x1 - 1, y1 - 1))


@functools.cache
def _load(predictor: Path):
    import dlib

    return dlib.shape_predictor(str(predictor))
