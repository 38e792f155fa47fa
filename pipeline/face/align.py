"""Align a face to its crop: smooth it over time, estimate the similarity transform, apply it to points, warp pixels.

Coordinates are (x, y) with pixel centres at integers. A transform M is (2, 3): crop = M[:, :2] @ source + M[:, 2].
"""

from collections.abc import Sequence

import numpy as np

from dfer.pipeline.config import BOX, SIMILARITY

IMAGE_LEFT_EYE = slice(36, 42)
IMAGE_RIGHT_EYE = slice(42, 48)
MOUTH_CORNERS = [48, 54]

# Where three anchor points of the face go in a crop without margin, as shares of its side. "similarity": both eyes
# and the midpoint of the mouth corners, so that brows and cheeks are well inside and the chin touches the edge.
# "box": three corners of the face's box.
TEMPLATES = {
    SIMILARITY: np.array([[0.30, 0.38], [0.70, 0.38], [0.50, 0.80]]),
    BOX: np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]),
}
# Wide enough to average a few frames of a video sampled at 15 frames per second, narrow compared with a head's turn.
SIGMA_S = 0.1


def find_anchors(landmarks: np.ndarray, boxes: np.ndarray, align: str) -> np.ndarray:
    """Compute the three anchor points of each frame.

    landmarks: (m, 68, 2) source pixels
    boxes: (m, 4) source pixels
    align: "similarity" or "box"

    Returns (m, 3, 2) source pixels.
    """
    if align == SIMILARITY:
        groups = (landmarks[:, IMAGE_LEFT_EYE], landmarks[:, IMAGE_RIGHT_EYE], landmarks[:, MOUTH_CORNERS])
        return np.stack([points.mean(1) for points in groups], axis=1)
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).max(1, keepdims=True) / 2
    corners = np.array([[-1, -1], [1, -1], [-1, 1]])
    return centre[:, None] + corners * half[:, None]


def count_turns(down: np.ndarray) -> int:
    """Count the quarter turns, 0–3, counter-clockwise as np.rot90's, that make a face upright.

    down: (2,) x and y, from between the eyes to the mouth
    """
    return round(np.arctan2(-down[0], down[1]) / (np.pi / 2)) % 4


def find_down(landmarks: np.ndarray) -> np.ndarray:
    """Return the vector (..., 2) from between the eyes to the mouth of faces (..., 68, 2)."""
    return landmarks[..., MOUTH_CORNERS, :].mean(-2) - landmarks[..., 36:48, :].mean(-2)


def estimate_similarity(anchors: np.ndarray, align: str, size: int, margin: float) -> np.ndarray:
    """Estimate the similarity transform that takes anchors to their template, by least squares.

    anchors: (3, 2) source pixels
    align: the template's name, "similarity" or "box"
    size: side of the crop, pixels
    margin: border added on every side, as a share of the face region

    Returns (2, 3), source to crop.
    """
    # As complex numbers target = a·source + b, which cannot mirror.
    source = anchors @ [1, 1j]
    target = ((TEMPLATES[align] + margin) / (1 + 2 * margin) * size - 0.5) @ [1, 1j]
    centred = source - source.mean()
    a = (centred.conj() @ (target - target.mean())) / (np.abs(centred) ** 2).sum()
    b = target.mean() - a * source.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def apply_transform(points: np.ndarray, transform: np.ndarray) -> np.ndarray:
    """Map points (..., 2) by a transform (2, 3)."""
    return points @ transform[:, :2].T + transform[:, 2]


def warp(image: np.ndarray, transform: np.ndarray, size: int) -> np.ndarray:
    """Cut a crop out of an image; what is outside the image is black.

    image: (H, W, 3) uint8
    transform: (2, 3), image to crop
    size: side of the crop, pixels

    Returns (size, size, 3) uint8. Bilinear; an image that shrinks is first averaged in blocks, against aliasing.
    """
    from PIL import Image

    shrink = max(1, round(1 / np.hypot(*transform[:, 0])))
    picture = Image.fromarray(image)
    if shrink > 1:
        picture = picture.reduce(shrink)
    back = np.linalg.inv(np.vstack([transform, [0, 0, 1]]))
    # Pillow has pixel centres at halves, and block averaging divides those by `shrink`.
    to_crop_index = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])
    to_picture = np.array([[1 / shrink, 0, 0.5 / shrink], [0, 1 / shrink, 0.5 / shrink], [0, 0, 1]])
    coefficients = (to_picture @ back @ to_crop_index)[:2].ravel()
    crop = picture.transform(
        (size, size), Image.Transform.AFFINE, tuple(coefficients), resample=Image.Resampling.BILINEAR
    )
    return np.asarray(crop)


def smooth(values: np.ndarray, times: np.ndarray, segments: Sequence[int]) -> np.ndarray:
    """Replace each point by the value there of a line fitted to its neighbourhood in time.

    values: (m, …) float
    times: (m,) seconds
    segments: (m,) the number of each point's segment; points of other segments (across a cut) have no weight

    Returns (m, …) float. The weights are Gaussian in time with SIGMA_S, symmetric, so the result does not lag:
    a curve that moves evenly keeps its values, and so do points seconds apart.
    """
    flat = values.reshape(len(values), -1)
    apart = times[None, :] - times[:, None]  # (m, m), row: the point being fitted
    same_segment = np.equal.outer(segments, segments)
    weights = np.where(same_segment, np.exp(-(apart**2) / (2 * SIGMA_S**2)), 0.0)
    s0, s1, s2 = weights.sum(1), (weights * apart).sum(1), (weights * apart**2).sum(1)
    v0, v1 = weights @ flat, (weights * apart) @ flat
    determinant = s0 * s2 - s1**2
    alone = determinant <= 1e-9 * SIGMA_S**2  # no neighbour in time, so no slope: keep the value
    safe = np.where(alone, 1.0, determinant)[:, None]
    fitted = (s2[:, None] * v0 - s1[:, None] * v1) / safe
    return np.where(alone[:, None], flat, fitted).reshape(values.shape)
