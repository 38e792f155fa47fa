"""What the landmark tables of a cache tell of a clip: one vector a clip, without reading a pixel.

A frame's features are the logits of MediaPipe's 52 expression scores (if all caches have them) and dlib's 68 points
in the crop; a clip's are their mean over the frames in which a face was found.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from dfer.schemas.blendshapes import BLENDSHAPES, SMALLEST_SCORE
from dfer.schemas.cache import SHARD_FILES
from dfer.schemas.keypoints import LANDMARKS
from dfer.schemas.read_cache import read_landmarks
from dfer.schemas.support.errors import UserError
from dfer.train.data.caches import Cache, Pool, usable
from dfer.train.data.splits import Split

COLUMNS = ("clip_id", "detector", "landmarks", "transform", "blendshapes")


def uses_scores(pool: Pool) -> bool:
    """Whether the features of a pool's clips include expression scores: only if all its caches have them."""
    return not pool.without_expressions


def feature_count(scores: bool) -> int:
    """How many features a frame and a clip have. scores: whether the expression scores are among them."""
    return 2 * LANDMARKS + (len(BLENDSHAPES) if scores else 0)


def frame_features(points: np.ndarray, size: int, scores: np.ndarray | None = None) -> np.ndarray:
    """The features of frames.

    points: (frames, 68, 2), crop pixels
    size: side of the crops, pixels
    scores: (frames, 52), 0–1, NaN where MediaPipe saw no face; None to leave them out

    Returns (frames, F) float32: the logits of the scores, then x and y of each point, 0–1 within the crop.
    """
    shape = (points.astype(np.float32, copy=False) / np.float32(size)).reshape(len(points), -1)
    if scores is None:
        return shape
    clipped = np.clip(scores.astype(np.float32, copy=False), SMALLEST_SCORE, 1 - SMALLEST_SCORE)
    return np.concatenate([np.log(clipped / (1 - clipped)), shape], axis=1)


def clip_features(pool: Pool, clips: pl.DataFrame) -> np.ndarray:
    """The features of clips, read shard by shard from the landmark tables.

    clips: usable rows of the pool's table, in any order

    Returns (clips, F) float32. The score part of a clip is NaN if MediaPipe saw no face in any of its frames.
    Raises UserError if a table is missing or damaged, or lacks a clip.
    """
    scores = uses_scores(pool)
    features = np.full((len(clips), feature_count(scores)), np.nan, np.float32)
    for frames in read_frames(pool, clips, scores=scores):
        features[frames.clips] = _clip_means(frames)
    return features


@dataclass(frozen=True, kw_only=True)
class Frames:
    """Frames of some clips, those of a clip next to each other.

    points: (frames, 68, 2), crop pixels; size: side of the crops, pixels
    scores: (frames, 52), 0–1, NaN where MediaPipe saw no face; None if they were not asked for
    found: (frames,) whether a face was found
    starts: (clips,) each clip's first frame; clips: (clips,) their places among the clips that were asked for
    """

    points: np.ndarray
    size: int
    scores: np.ndarray | None
    found: np.ndarray
    starts: np.ndarray
    clips: np.ndarray


def read_frames(pool: Pool, clips: pl.DataFrame, *, scores: bool) -> Iterator[Frames]:
    """The frames of clips, a shard at a time.

    clips: usable rows of the pool's table, in any order
    scores: whether to read the expression scores, which then all caches must have

    Raises UserError as `clip_features`.
    """
    for (number, shard), wanted in clips.with_row_index("place").group_by("cache", "shard"):
        cache = pool.caches[number]
        yield _read(cache, shard, wanted, scores)


class LandmarkFeatures:
    """The features of some clips of a pool, read once: when they are first asked for."""

    def __init__(self, pool: Pool, clips: pl.DataFrame) -> None:
        """clips: rows of the pool's table, usable or not."""
        self.pool = pool
        self._clips = usable(clips)

    @classmethod
    def of_split(cls, pool: Pool, split: Split) -> "LandmarkFeatures":
        """Of the clips in either part of a split."""
        return cls(pool, pl.concat([split.train, split.test]).unique("clip_id", maintain_order=True))

    def of(self, clips: pl.DataFrame) -> np.ndarray:
        """The features (clips, F) of some of the clips, all usable, in their order. Raises as `clip_features`."""
        found = clips.select("clip_id").join(
            self._places, on="clip_id", how="left", maintain_order="left", validate="m:1"
        )
        return self._all[found["place"].to_numpy()]

    @cached_property
    def _all(self) -> np.ndarray:
        return clip_features(self.pool, self._clips)

    @cached_property
    def _places(self) -> pl.DataFrame:
        return self._clips.select("clip_id").with_row_index("place")


def _clip_means(frames: Frames) -> np.ndarray:
    """Each clip's mean features over its frames with a face, over all if there is none: (clips, F)."""
    features = frame_features(frames.points, frames.size, frames.scores)
    any_found = np.logical_or.reduceat(frames.found, frames.starts)
    lengths = np.diff(frames.starts, append=len(frames.found))
    counted = frames.found | ~np.repeat(any_found, lengths)
    # A frame lacks all of its scores or none.
    known = counted & ~np.isnan(features[:, 0])
    scores = features.shape[1] - feature_count(scores=False)
    parts = [(features[:, :scores], known), (features[:, scores:], counted)]
    return np.concatenate([_means(part, rows, frames.starts) for part, rows in parts], axis=1)


def _means(values: np.ndarray, counted: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Mean of each clip's counted rows; NaN if it has none."""
    sums = np.add.reduceat(np.where(counted[:, None], values, 0), starts)
    counts = np.add.reduceat(counted.astype(np.float32), starts)[:, None]
    return np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)


def _read(cache: Cache, shard: int, wanted: pl.DataFrame, scores: bool) -> Frames:
    """The frames of the wanted clips in a shard's table. Raises UserError."""
    path = cache.folder / SHARD_FILES["landmarks"].format(shard)
    columns = [name for name in COLUMNS if scores or name != "blendshapes"]
    table = read_landmarks(cache.folder, shard, columns)
    places = wanted.select(clip_id="stored_id", place="place")
    place = table.select("clip_id").join(places, on="clip_id", how="left", maintain_order="left")["place"]
    if place.null_count():
        table, place = table.filter(place.is_not_null()), place.drop_nulls()
    missing = places.filter(~pl.col("place").is_in(place.implode()))["clip_id"]
    if len(missing):
        raise UserError(f"{path}: the landmarks of {missing[0]} are missing; extract this cache again")
    if not place.is_sorted():
        order = place.arg_sort()
        table, place = table[order], place[order]
    clips, starts = np.unique(place.to_numpy(), return_index=True)
    return Frames(
        points=_in_crop(_numbers(table, "landmarks", path), _numbers(table, "transform", path)),
        size=cache.info.crop_size,
        scores=_scores(table) if scores else None,
        found=table["detector"].is_not_null().to_numpy(),
        starts=starts,
        clips=clips,
    )


def _numbers(table: pl.DataFrame, name: str, path: Path) -> np.ndarray:
    values = table[name]
    numbers = values.to_numpy() if not values.null_count() else np.array(np.nan)
    if not np.isfinite(numbers).all():
        raise UserError(f"{path}: {name} has a value that is null, NaN or Inf; extract this cache again")
    return numbers


def _scores(table: pl.DataFrame) -> np.ndarray:
    """Expression scores (frames, 52), NaN where there are none."""
    values = table["blendshapes"]
    scores = np.full((len(values), len(BLENDSHAPES)), np.nan, np.float32)
    known = values.is_not_null()
    scores[known.to_numpy()] = values.filter(known).to_numpy()
    return scores


def _in_crop(points: np.ndarray, transform: np.ndarray) -> np.ndarray:
    """Map points (frames, 68, 2) from source pixels to crop pixels. transform: (frames, 2, 3)."""
    rows = [
        points[..., 0] * row[:, :1] + points[..., 1] * row[:, 1:2] + row[:, 2:]
        for row in (transform[:, 0], transform[:, 1])
    ]
    return np.stack(rows, axis=-1)
