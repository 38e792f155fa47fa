"""Figures of a cache: medians for each usable clip, bins for their distributions, best and worst clips.

Landmark tables are read one shard at a time and only in the needed columns, so memory does not grow with the number
of frames. A cache can come from anybody, so the tables are checked against each other first.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from dfer.pipeline.report.pose import head_pose
from dfer.schemas.cache import OK, SHARD_FILES, STATUSES, landmarks_schema
from dfer.schemas.keypoints import LANDMARKS
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.text import counted

COLUMNS = ("clip_id", "detector", "score", "box", "landmarks")
MEASURES = ("score", "side", "yaw", "pitch", "roll")
FEWEST_BINS, MOST_BINS = 8, 20
SEED = 0

# One row per usable clip, in the order of the clips table. The measures are medians over the clip's frames
# with a face: BlazeFace's score (null if only HOG found it), side of the box in source pixels, degrees.
FIGURES_SCHEMA = pl.Schema(
    {
        "clip_id": pl.String,
        "path": pl.String,
        "label": pl.String,
        "shard": pl.Int32,
        "row": pl.Int32,
        "frames": pl.Int32,
        "frames_with_face": pl.Int32,
        **dict.fromkeys(MEASURES, pl.Float64),
    }
)


@dataclass(frozen=True, kw_only=True)
class Bins:
    """A distribution.

    counts: counts[i] values are in [(first + i)·step, (first + i + 1)·step)
    low, median, high: 5 %, 50 % and 95 % points; None without values
    """

    first: int
    step: float
    counts: tuple[int, ...]
    low: float | None
    median: float | None
    high: float | None

    def edge(self, i: int) -> float:
        """Lower edge of bin i."""
        return (self.first + i) * self.step

    @property
    def total(self) -> int:
        return sum(self.counts)


def clip_figures(cache: Path, clips: pl.DataFrame, keypoints: int) -> pl.DataFrame:
    """Measure the usable clips of a cache (FIGURES_SCHEMA).

    clips: the clips table
    keypoints: number of key-points per frame

    Raises UserError if the clips table contradicts itself, or if a landmark table is missing, damaged, or does not
    match it.
    """
    check_clips(clips)
    usable = clips.filter(pl.col("status") == OK)
    parts = [
        _shard_figures(
            cache / SHARD_FILES["landmarks"].format(shard), usable.filter(pl.col("shard") == shard), keypoints
        )
        for shard in usable["shard"].unique().sort()
    ]
    measured = pl.concat(parts) if parts else FIGURES_SCHEMA.to_frame().select("clip_id", *MEASURES)
    return usable.join(measured, on="clip_id", how="left", maintain_order="left").select(*FIGURES_SCHEMA)


def check_clips(clips: pl.DataFrame) -> None:
    """Raise UserError if a clips table (CLIPS_SCHEMA) cannot come from an extraction."""
    frames, found = pl.col("frames"), pl.col("frames_with_face")
    placed = (pl.col("shard") >= 0) & (pl.col("row") >= 0) & (frames >= 1)
    valid = (
        pl.col("path").is_not_null()
        & pl.col("status").is_in(STATUSES)
        & (frames >= 0)
        & (found >= 0)
        & (found <= frames)
        & ((pl.col("status") != OK) | placed.fill_null(False))
    )
    wrong = clips.select((~valid.fill_null(False)).sum()).item()
    if wrong:
        rows = counted(wrong, "contradictory row")
        raise UserError(f"the clips table is damaged: it has {rows}; extract this cache again")


def ranking(figures: pl.DataFrame) -> pl.DataFrame:
    """Sort clips from best to worst: by share of frames with a face, then by median BlazeFace score.

    Clips without such a score come last among those with the same share. Ties keep the table's order.
    """
    share = pl.col("frames_with_face") / pl.col("frames")
    return figures.sort(share, "score", descending=True, nulls_last=True, maintain_order=True)


def random_sample(figures: pl.DataFrame, count: int) -> pl.DataFrame:
    """Draw `count` clips (or all): those with the smallest sha256 of SEED and id.

    Unlike a random generator, this draws the same clips in every version of Python, and mostly the same after the
    cache has grown.
    """

    def key(clip_id: str) -> str:
        return hashlib.sha256(f"{SEED}:{clip_id}".encode()).hexdigest()

    drawn = sorted(range(len(figures)), key=lambda i: key(figures["clip_id"][i]))[:count]
    return figures[drawn]


def bins(values: Sequence[float] | np.ndarray | pl.Series, smallest_step: float = 0) -> Bins:
    """Count finite values in FEWEST_BINS to MOST_BINS bins whose width is 1, 2 or 5 times a power of ten.

    A narrow range gets empty bins on both sides, but none below 0 if no value is negative.
    """
    data = np.asarray(values, np.float64)
    if not len(data):
        return Bins(first=0, step=1, counts=(), low=None, median=None, high=None)
    lowest, highest = float(data.min()), float(data.max())
    step = _round_step(lowest, highest, smallest_step)
    # Rounded first, as 0.3 / 0.1 is a little below 3.
    places = np.floor(np.round(data / step, 6)).astype(np.int64)
    first = int(places.min())
    empty = max(FEWEST_BINS - 1 - int(places.max() - first), 0) // 2
    first -= min(empty, first) if first >= 0 else empty
    counts = np.bincount(places - first, minlength=FEWEST_BINS)
    low, median, high = (float(q) for q in np.quantile(data, [0.05, 0.5, 0.95]))
    return Bins(first=first, step=step, counts=tuple(map(int, counts)), low=low, median=median, high=high)


def _round_step(lowest: float, highest: float, smallest: float) -> float:
    # A step below a millionth of the values would be lost in rounding.
    least = max(smallest, (highest - lowest) / (MOST_BINS - 1), 1e-6 * max(abs(lowest), abs(highest)), 1e-6)
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10, 20) if factor * power >= least)


def _shard_figures(path: Path, usable: pl.DataFrame, keypoints: int) -> pl.DataFrame:
    """clip_id and MEASURES of one shard's usable clips."""
    table = _read_landmarks(path, usable["frames"].cast(pl.Int64).sum(), keypoints)
    found = table.group_by("clip_id", maintain_order=True).agg(
        pl.len().alias("frames"), pl.col("detector").count().alias("frames_with_face")
    )
    expected = usable.select("clip_id", *(pl.col(c).cast(pl.UInt32) for c in ("frames", "frames_with_face")))
    if not found.sort("clip_id").equals(expected.sort("clip_id")):
        raise _damaged(path, "its clips and frames do not match the clips table")
    with_face = table.filter(pl.col("detector").is_not_null())
    box = with_face["box"].to_numpy().reshape(-1, 4).astype(np.float64)
    landmarks = with_face["landmarks"].to_numpy().reshape(-1, LANDMARKS, 2)
    size = box[:, 2:] - box[:, :2]
    if not (np.isfinite(landmarks).all() and np.isfinite(box).all() and (size > 0).all()):
        raise _damaged(path, "a landmark or box is NaN or Inf, or a box is empty")
    yaw, pitch, roll = head_pose(landmarks).T
    blazeface = pl.when(pl.col("detector") == "blazeface").then(pl.col("score")).fill_nan(None)
    return (
        with_face.select(
            "clip_id",
            blazeface.cast(pl.Float64).alias("score"),
            pl.Series("side", np.sqrt(size.prod(1))),
            pl.Series("yaw", yaw),
            pl.Series("pitch", pitch),
            pl.Series("roll", roll),
        )
        .group_by("clip_id", maintain_order=True)
        .agg(pl.col(name).median() for name in MEASURES)
    )


def _read_landmarks(path: Path, frames: int, keypoints: int) -> pl.DataFrame:
    """Read COLUMNS of a landmark table, after a check that it has `frames` rows."""
    try:
        lazy = pl.scan_parquet(path, glob=False)
        schema, expected = lazy.collect_schema(), landmarks_schema(keypoints)
        wrong = [name for name in COLUMNS if schema.get(name) != expected[name]]
        if wrong:
            raise _damaged(path, f"missing or wrong columns: {', '.join(wrong)}")
        if lazy.select(pl.len()).collect().item() != frames:
            raise _damaged(path, "its number of frames does not match the clips table")
        table = lazy.select(COLUMNS).collect()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise _damaged(path, str(error).split("\n")[0]) from None
    if any(table[name].null_count() for name in ("clip_id", "box", "landmarks")):
        raise _damaged(path, "it has empty fields")
    return table


def _damaged(path: Path, reason: str) -> UserError:
    return UserError(f"{path} is missing or damaged ({reason}); extract this cache again")
