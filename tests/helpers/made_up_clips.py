"""Frames of a moving face, of any width, to make clips of."""

import functools

import numpy as np


def face_frames(count: int, width: int = 320, start: float = -1.0, turn: float = 0.2) -> list[np.ndarray]:
    """Frames of a head that turns, shifts and grows a little: `count` frames (width · 3 / 4, width, 3) uint8.

    start: -1 to 1, where in the movement the frames begin; turn: how much of it they show
    """
    return [_frame(float(t), width).copy() for t in np.linspace(start, start + turn, count)]


@functools.cache
def _frame(t: float, width: int) -> np.ndarray:
    from skimage.data import astronaut
    from skimage.transform import AffineTransform, warp

    # The face's middle in the picture is near (225, 110).
    move = (
        AffineTransform(translation=(-160, -120))
        + AffineTransform(rotation=0.1 * t, scale=1.4 + 0.1 * t)
        + AffineTransform(translation=(225 + 20 * t, 120))
    )
    smaller = AffineTransform(scale=320 / width)
    return (warp(astronaut(), smaller + move, output_shape=(width * 3 // 4, width)) * 255).astype(np.uint8)
