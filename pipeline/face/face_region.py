"""The part of a frame around a face: all that is kept of a frame, so that a clip's frames are not held at once."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from dfer.pipeline.config import ExtractConfig
from dfer.pipeline.face import align, mediapipe_tasks, track, turned
from dfer.pipeline.face.cuts import Thumbnail
from dfer.pipeline.face.detect import Detection
from dfer.pipeline.face.enlarge import AS_IT_IS, View
from dfer.pipeline.face.landmarks import find_landmarks
from dfer.pipeline.face.same_person import embed_face
from dfer.pipeline.setup.models import ModelPaths

EXPRESSION_REACH = 0.85  # half side of the square shown to MediaPipe's landmarker, in sides of the face's box


@dataclass(frozen=True, kw_only=True)
class FaceRegion:
    """Part of a frame. Its methods take and return pixels of the frame.

    pixels: (h, w, 3) uint8, of the frame as `view` shows it
    corner: (2,) x and y of its upper left pixel there
    """

    pixels: np.ndarray
    corner: np.ndarray
    view: View = AS_IT_IS

    @classmethod
    def around(cls, frame: np.ndarray, box: Sequence[float], config: ExtractConfig) -> Self:
        """Copy what a crop of the face can show, turned by any angle, as far as the frame goes.

        frame: (H, W, 3) uint8
        box: x0, y0, x1, y1 of the face, pixels
        config: the margin of the crops
        """
        x0, y0, x1, y1 = box
        reach = 0.95 * (1 + 2 * config.margin) * max(x1 - x0, y1 - y0)
        centre = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
        limits = np.array(frame.shape[1::-1])
        low = np.clip(np.floor(centre - reach), 0, limits - 1).astype(int)
        high = np.clip(np.ceil(centre + reach), low + 1, limits).astype(int)
        return cls(pixels=frame[low[1] : high[1], low[0] : high[0]].copy(), corner=low)

    def find_landmarks(self, box: np.ndarray, turns: int, models: ModelPaths) -> np.ndarray:
        """Find the 68 landmarks (68, 2) of the face in a box; `turns` quarter turns make it upright."""
        pixels, inside = self._upright(box, turns)
        found = find_landmarks(pixels, inside, models.predictor)
        points = turned.turn_points_back(found, turns, *self.pixels.shape[1::-1]) + self.corner
        return self.view.points_out(points)

    def embed(self, box: Sequence[float], turns: int, models: ModelPaths) -> np.ndarray:
        """Compute the embedding (128,) of the face in a box; `turns` quarter turns make it upright."""
        return embed_face(*self._upright(box, turns), models.predictor, models.recogniser)

    def correlation_track(self, box: np.ndarray, frame: np.ndarray) -> Detection | None:
        """Find the face in this region's box in another frame of the same scene; None where it is lost."""
        x, y = self.corner
        height, width = self.pixels.shape[:2]
        there = frame[y : y + height, x : x + width]
        if there.shape != self.pixels.shape:
            return None  # a frame folder of mixed sizes
        found = track.correlation_track(self.pixels, self._inside(box), there)
        return found and dataclasses.replace(found, box=tuple(np.array(found.box) + np.tile(self.corner, 2)))

    def expression_scores(self, box: np.ndarray, turns: int, models: ModelPaths) -> np.ndarray:
        """Compute MediaPipe's expression scores of the face in a box.

        box: (4,) pixels of the frame
        turns: quarter turns (np.rot90's) that make the face upright

        Returns (52,) float32, 0–1; NaN where MediaPipe sees no face.
        """
        x0, y0, x1, y1 = self._inside(box)
        reach = EXPRESSION_REACH * max(x1 - x0, y1 - y0)
        centre = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
        low = np.maximum(centre - reach, 0).astype(int)
        high = np.maximum(np.ceil(centre + reach), low + 1).astype(int)
        around = self.pixels[low[1] : high[1], low[0] : high[0]]
        return mediapipe_tasks.expression_scores(models.landmarker, np.rot90(around, turns))

    def crop(self, transform: np.ndarray, config: ExtractConfig) -> bytes:
        """Cut the crop under a transform (2, 3), frame to crop, and encode it as JPEG."""
        import simplejpeg

        pixels = self.crop_pixels(transform, config.size)
        return simplejpeg.encode_jpeg(
            pixels, quality=config.quality, colorspace="RGB", colorsubsampling="420"
        )

    def crop_pixels(self, transform: np.ndarray, size: int) -> np.ndarray:
        """Cut the crop (size, size, 3) uint8 under a transform (2, 3), frame to crop."""
        moved = self.view.transform_in(transform)
        moved[:, 2] += moved[:, :2] @ self.corner
        return align.warp(self.pixels, moved, size)

    def _upright(self, box: Sequence[float], turns: int) -> tuple[np.ndarray, np.ndarray]:
        """The region's pixels turned so that the face is upright, and the box (4,) in them."""
        pixels = np.ascontiguousarray(np.rot90(self.pixels, turns))
        return pixels, turned.turn_boxes_back(self._inside(box), -turns % 4, *pixels.shape[1::-1])

    def _inside(self, box: Sequence[float]) -> np.ndarray:
        """A box (4,) in pixels of the region."""
        return self.view.boxes_in(np.asarray(box)) - np.tile(self.corner, 2)


@dataclass(frozen=True, kw_only=True)
class FrameFaces:
    """What is kept of a sampled frame.

    position: its number
    faces: in it
    first_look: those that a search for one person finds; the same, if nobody else is wanted
    regions: around all of them, and around those that are found where a person's track has a gap
    thumbnail: of the frame
    """

    position: int
    faces: Sequence[Detection]
    first_look: Sequence[Detection]
    regions: dict[Detection, FaceRegion]
    thumbnail: Thumbnail
