"""Look at frames turned by quarter turns, for faces that lie on their side, and turn what is found back.

A turn is np.rot90's: counter-clockwise, of the picture as it is displayed.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from dfer.pipeline.records import SourceFacts
from dfer.pipeline.video.sources import Source


class TurnedSource:
    """An open clip whose frames are turned."""

    def __init__(self, source: Source, turns: int) -> None:
        """turns: quarter turns, 0–3."""
        self._source, self._turns = source, turns
        facts = source.facts
        width, height = (facts.height, facts.width) if turns % 2 else (facts.width, facts.height)
        self.facts: SourceFacts = dataclasses.replace(facts, width=width, height=height)

    def read(self, positions: Sequence[int]) -> Iterator[np.ndarray]:
        for frame in self._source.read(positions):
            yield np.ascontiguousarray(np.rot90(frame, self._turns))

    def times(self, positions: Sequence[int]) -> list[float] | None:
        return self._source.times(positions)


def turn_points_back(points: np.ndarray, turns: int, width: int, height: int, pixel: float = 1) -> np.ndarray:
    """Map points of a turned frame to the frame.

    points: (..., 2) x and y
    turns: quarter turns of the frame, 0–3
    width, height: of the frame before the turn, pixels
    pixel: 1 for pixel centres, 0 for pixel edges
    """
    if not turns:
        return points
    x, y = points[..., 0], points[..., 1]
    right, bottom = width - pixel, height - pixel
    back = ((x, y), (right - y, x), (right - x, bottom - y), (y, bottom - x))[turns]
    return np.stack(back, axis=-1)


def turn_boxes_back(boxes: np.ndarray, turns: int, width: int, height: int) -> np.ndarray:
    """Map boxes (..., 4) of a turned frame to the frame, as `turn_points_back` maps points."""
    corners = turn_points_back(boxes.reshape(*boxes.shape[:-1], 2, 2), turns, width, height, pixel=0)
    return np.concatenate([corners.min(-2), corners.max(-2)], axis=-1)
