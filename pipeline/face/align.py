"""A face to its crop: a similarity transform, the pixels under it, and points carried through it.

Coordinates are (x, y) with pixel centres at integers. A transform is (2, 3): crop = M[:, :2] @ source + M[:, 2].
"""

import numpy as np

from dfer.pipeline.config import BOX, SIMILARITY

IMAGE_LEFT_EYE = slice(36, 42)
IMAGE_RIGHT_EYE = slice(42, 48)
MOUTH_CORNERS = [48, 54]

# Where three anchors of the face come to lie with no margin, as shares of the crop's side. "similarity": both
# eyes and the middle of the mouth's corners, so that brows and cheeks stay well inside and the chin touches the
# edge. "box": three corners of the face's box.
TEMPLATES = {
    SIMILARITY: np.array([[0.30, 0.38], [0.70, 0.38], [0.50, 0.80]]),
    BOX: np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]),
}


def find_anchors(landmarks: np.ndarray, boxes: np.ndarray, align: str) -> np.ndarray:
    """The three points of each frame that fix its crop: landmarks (m, 68, 2), boxes (m, 4) → (m, 3, 2)."""
    if align == SIMILARITY:
        groups = (landmarks[:, IMAGE_LEFT_EYE], landmarks[:, IMAGE_RIGHT_EYE], landmarks[:, MOUTH_CORNERS])
        return np.stack([points.mean(1) for points in groups], axis=1)
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).max(1, keepdims=True) / 2
    corners = np.array([[-1, -1], [1, -1], [-1, 1]])
    return centre[:, None] + corners * half[:, None]


def fit(anchors: np.ndarray, align: str, size: int, margin: float) -> np.ndarray:
    """The similarity transform (2, 3) that takes anchors (3, 2) to their template in a crop of `size` pixels.

    Least squares; as complex numbers target = a·source + b, which cannot mirror. margin: border added on every
    side, as a share of the face region.
    """
    source = anchors @ [1, 1j]
    target = ((TEMPLATES[align] + margin) / (1 + 2 * margin) * size - 0.5) @ [1, 1j]
    centred = source - source.mean()
    a = (centred.conj() @ (target - target.mean())) / (np.abs(centred) ** 2).sum()
    b = target.mean() - a * source.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def carry(points: np.ndarray, transform: np.ndarray) -> np.ndarray:
    """Points (..., 2) under a transform (2, 3)."""
    return points @ transform[:, :2].T + transform[:, 2]


def warp(image: np.ndarray, transform: np.ndarray, size: int) -> np.ndarray:
    """The crop (size, size, 3) uint8 of an image (H, W, 3) uint8; what lies outside the image is black.

    Bilinear; an image that shrinks is averaged over whole blocks first, so that nothing aliases.
    """
    from PIL import Image

    shrink = max(1, round(1 / np.hypot(*transform[:, 0])))
    picture = Image.fromarray(image)
    if shrink > 1:
        picture = picture.reduce(shrink)
    back = np.linalg.inv(np.vstack([transform, [0, 0, 1]]))
    # Pillow's coordinates have pixel centres at halves, and block averaging divides those by `shrink`.
    to_crop_index = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])
    to_picture = np.array([[1 / shrink, 0, 0.5 / shrink], [0, 1 / shrink, 0.5 / shrink], [0, 0, 1]])
    coefficients = (to_picture @ back @ to_crop_index)[:2].ravel()
    crop = picture.transform(
        (size, size), Image.Transform.AFFINE, tuple(coefficients), resample=Image.Resampling.BILINEAR
    )
    return np.asarray(crop)
