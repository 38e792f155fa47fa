"""Decide whether two faces are one person, by dlib's face embeddings.

An embedding costs some 100 ms, so this is asked only where a track is doubtful.
"""

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dfer.pipeline.face.landmarks import find_shape

# Mean distances below which two sets of up to three faces are one person; dlib's own threshold, for two clear faces,
# is 0.6. Measured on 82 wild clips, where the faces on both sides of a doubtful link were known: across a cut (APART)
# 0.50 lets two clips in seventy change person and 0.47 one; where one head could have moved from one face to the
# other (CLOSE), 0.67 lets two change and 0.60 one.
MAX_DISTANCE_APART = 0.47
MAX_DISTANCE_CLOSE = 0.60


def embed_face(image: np.ndarray, box: np.ndarray, predictor: Path, recogniser: Path) -> np.ndarray:
    """Compute the embedding of the face in a box.

    image: (H, W, 3) uint8
    box: x0, y0, x1, y1, pixels of the image
    predictor, recogniser: the model files of the 68 landmarks and of the embedding

    Returns (128,) float64.
    """
    shape = find_shape(image, box, predictor)
    return np.array(load(recogniser).compute_face_descriptor(image, shape))


def is_same_person(a: Sequence[np.ndarray], b: Sequence[np.ndarray], close: bool) -> bool:
    """Compare the embeddings, (128,) each, of two sets of faces, each of one person.

    close: whether one head could have moved from one set to the other
    """
    distances = [np.linalg.norm(one - other) for one in a for other in b]
    return float(np.mean(distances)) < (MAX_DISTANCE_CLOSE if close else MAX_DISTANCE_APART)


@functools.cache
def load(recogniser: Path):
    """Load the embedding network into this process, once."""
    import dlib

    return dlib.face_recognition_model_v1(str(recogniser))
