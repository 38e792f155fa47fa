"""How players show the stored frames of a video: turned, mirrored, with square pixels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

ASPECT_TOLERANCE = 0.01  # scaling to whole pixels leaves ratios such as 1215:1216
WIDEST_ASPECT = 4.0  # of what cameras and broadcasters use; beyond it, the ratio is damaged


@dataclass(frozen=True, kw_only=True)
class Display:
    """How a video's frames are shown: first mirrored top to bottom, then turned, then stretched.

    quarter_turns: anticlockwise, 0–3
    aspect: width of a stored pixel, in heights; a frame is enlarged until its pixels are square
    """

    mirrored: bool = False
    quarter_turns: int = 0
    aspect: float = 1.0

    def picture(self, stored: np.ndarray) -> np.ndarray:
        """Return a stored frame (H, W, 3) as it is shown."""
        return self._squared(np.rot90(stored[::-1] if self.mirrored else stored, self.quarter_turns))

    def picture_of_turned(self, turned: np.ndarray) -> np.ndarray:
        """Return a frame that a decoder has turned, but neither mirrored nor stretched, as it is shown."""
        if self.mirrored:
            turned = turned[:, ::-1] if self.quarter_turns % 2 else turned[::-1]
        return self._squared(turned)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Compute width and height of the picture of a stored frame of this size."""
        return self.square_size(*((height, width) if self.quarter_turns % 2 else (width, height)))

    def square_size(self, width: int, height: int) -> tuple[int, int]:
        """Compute width and height of a turned frame of this size when its pixels are square."""
        aspect = 1 / self.aspect if self.quarter_turns % 2 else self.aspect
        return (round(width * aspect), height) if aspect > 1 else (width, round(height / aspect))

    def _squared(self, turned: np.ndarray) -> np.ndarray:
        from PIL import Image

        height, width, _ = turned.shape
        size = self.square_size(width, height)
        if size != (width, height):
            turned = np.asarray(Image.fromarray(turned).resize(size, Image.Resampling.BICUBIC))
        return np.ascontiguousarray(turned)


def read_display(frame: Any | None, stream: Any) -> Display:
    """Read how frames of PyAV's video stream are shown. A damaged pixel aspect ratio counts as square.

    frame: one of them, None where it is known to be shown as it is stored
    """
    matrix = frame and frame.side_data.get("DISPLAYMATRIX")
    mirrored, turns = _read_matrix(np.frombuffer(matrix, np.int32).tolist()) if matrix else (False, 0)
    aspect = pixel_aspect(stream)
    known = abs(aspect - 1) > ASPECT_TOLERANCE and not is_damaged(aspect)
    return Display(mirrored=mirrored, quarter_turns=turns, aspect=aspect if known else 1.0)


def pixel_aspect(stream: Any) -> float:
    """Return the width of a pixel in heights, from the container or else the codec; 1 where neither states it."""
    return float(stream.sample_aspect_ratio or 1)


def is_damaged(aspect: float) -> bool:
    """Whether no camera has pixels of this aspect ratio."""
    return not 1 / WIDEST_ASPECT <= aspect <= WIDEST_ASPECT


def _read_matrix(matrix: Sequence[int]) -> tuple[bool, int]:
    """Return whether a display matrix mirrors, and its quarter turns anticlockwise.

    matrix: nine numbers by row; x and y (down) of a stored pixel become ax + cy and bx + dy
    """
    a, b, _, c, d = matrix[:5]
    return a * d < b * c, round(-math.atan2(b, a) / (math.pi / 2)) % 4
