"""68 landmarks to an aligned crop: a similarity transform, the pixels under it, and points carried through it.

Coordinates are (x, y) with pixel centres at integers. A transform is (2, 3): crop = M[:, :2] @ source + M[:, 2].
"""

import numpy as np

IMAGE_LEFT_EYE = slice(36, 42)
IMAGE_RIGHT_EYE = slice(42, 48)
MOUTH_CORNERS = [48, 54]

# Where both eyes and the middle of the mouth's corners come to lie with no margin, as shares of the crop's
# side: brows and cheeks stay well inside, the chin touches the edge.
TEMPLATE = np.array([[0.30, 0.38], [0.70, 0.38], [0.50, 0.80]])


def align(landmarks: np.ndarray, size: int, margin: float) -> np.ndarray:
    """The similarity transform (2, 3) from landmarks (68, 2) to a square crop of `size` pixels.

    Least squares of three points, both eyes' centres and the middle of the mouth's corners, onto TEMPLATE;
    as complex numbers target = a·source + b, which cannot mirror. margin: border added on every side, as a
    share of the face region.
    """
    anchors = [landmarks[IMAGE_LEFT_EYE], landmarks[IMAGE_RIGHT_EYE], landmarks[MOUTH_CORNERS]]
    source = np.array([points.mean(0) for points in anchors]) @ [1, 1j]
    target = ((TEMPLATE + margin) / (1 + 2 * margin) * size - 0.5) @ [1, 1j]
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
