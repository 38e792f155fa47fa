"""Figures of a cache: one row of medians per usable clip, bins for their distributions, best and worst clips.

The landmark tables are read one shard at a time and only in the columns that are needed, so memory does not
grow with the number of frames. A cache may come from a stranger: what the tables say is compared with each
other before it is used.
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
from dfer.schemas.keypoints import DLIB18
from dfer.schemas.support.errors import UserError

COLUMNS = ("clip_id", "detector", "score", "box", "landmarks")
MEASURES = ("score", "side", "yaw", "pitch", "roll")
FEWEST_BINS, MOST_BINS = 8, 20
SEED = 0

# One row per usable clip, in the order of the clips table. The measures are medians over the clip's frames
# with a face: BlazeFace's score (null where it found none), side of the box in source pixels, degrees.
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
    """A distribution: counts[i] values lie from (first + i)·step up to, but not at, (first + i + 1)·step.

    total values in all; low, median and high are their 5 %, 50 % and 95 % points, None without values.
    """

    first: int
    step: float
    counts: tuple[int, ...]
    low: float | None
    median: float | None
    high: float | None

    def edge(self, i: int) -> float:
        """Where bin i begins."""
        return (self.first + i) * self.step

    @property
    def total(self) -> int:
        return sum(self.counts)


def clip_figures(cache: Path, clips: pl.DataFrame) -> pl.DataFrame:
    """The figures (FIGURES_SCHEMA) of the usable clips of a cache's clips table.

    Raises UserError where the clips table contradicts itself, or a landmark table is missing, damaged, or of
    other clips and frames than the clips table says.
    """
    check_clips(clips)
    usable = clips.filter(pl.col("status") == OK)
    parts = [
        _shard_figures(
            cache / SHARD_FILES["landmarks"].format(shard), usable.filter(pl.col("shard") == shard)
        )
        for shard in usable["shard"].unique().sort()
    ]
    measured = pl.concat(parts) if parts else FIGURES_SCHEMA.to_frame().select("clip_id", *MEASURES)
    return usable.join(measured, on="clip_id", how="left", maintain_order="left").select(*FIGURES_SCHEMA)


def check_clips(clips: pl.DataFrame) -> None:
    """Raise UserError where a clips table (CLIPS_SCHEMA) cannot be what an extraction wrote."""
    frames, found = pl.col("frames"), pl.col("frames_with_face")
    placed = (pl.col("shard") >= 0) & (pl.col("row") >= 0) & (frames >= 1)
    sound = (
        pl.col("clip_id").is_not_null()
        & pl.col("path").is_not_null()
        & pl.col("status").is_in(STATUSES)
        & (frames >= 0)
        & (found >= 0)
        & (found <= frames)
        & ((pl.col("status") != OK) | placed.fill_null(False))
    )
    wrong = clips.select((~sound.fill_null(False)).sum()).item()
    if wrong or clips["clip_id"].n_unique() != len(clips):
        raise UserError(
            f"the clips table is damaged: {wrong or 'some'} of its rows contradict themselves or each other; "
            "make the cache again"
        )


def ranking(figures: pl.DataFrame) -> pl.DataFrame:
    """The clips from best to worst: larger share of frames with a face, then higher median BlazeFace score.

    Clips that BlazeFace found nothing in come after those of the same share; ties keep the table's order.
    """
    share = pl.col("frames_with_face") / pl.col("frames")
    return figures.sort(share, "score", descending=True, nulls_last=True, maintain_order=True)


def random_sample(figures: pl.DataFrame, count: int) -> pl.DataFrame:
    """`count` clips (or all) by lot: those whose sha256 of SEED and id come first.

    A hash instead of a generator: the same clips whatever the version of Python, and whatever other clips
    the cache gains.
    """

    def lot(clip_id: str) -> str:
        return hashlib.sha256(f"{SEED}:{clip_id}".encode()).hexdigest()

    drawn = sorted(range(len(figures)), key=lambda i: lot(figures["clip_id"][i]))[:count]
    return figures[drawn]


def bins(values: Sequence[float] | np.ndarray | pl.Series, smallest_step: float = 0) -> Bins:
    """Bins of a round width (1, 2 or 5 times a power of ten) over finite values, FEWEST_BINS to MOST_BINS of them.

    Values that lie closely together get empty bins on both sides, not below 0 where none is negative.
    """
    data = np.asarray(values, np.float64)
    if not len(data):
        return Bins(first=0, step=1, counts=(), low=None, median=None, high=None)
    lowest, highest = float(data.min()), float(data.max())
    step = _round_step(lowest, highest, smallest_step)
    # Rounded first: 0.3 / 0.1 is a little below 3, and would fall into the bin before its own.
    places = np.floor(np.round(data / step, 6)).astype(np.int64)
    first = int(places.min())
    empty = max(FEWEST_BINS - 1 - int(places.max() - first), 0) // 2
    first -= min(empty, first) if first >= 0 else empty
    counts = np.bincount(places - first, minlength=FEWEST_BINS)
    low, median, high = (float(q) for q in np.quantile(data, [0.05, 0.5, 0.95]))
    return Bins(first=first, step=step, counts=tuple(map(int, counts)), low=low, median=median, high=high)


def _round_step(lowest: float, highest: float, smallest: float) -> float:
    # Below a millionth of the values' size a step would be lost in their rounding.
    least = max(smallest, (highest - lowest) / (MOST_BINS - 1), 1e-6 * max(abs(lowest), abs(highest)), 1e-6)
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10, 20) if factor * power >= least)


def _shard_figures(path: Path, usable: pl.DataFrame) -> pl.DataFrame:
    """clip_id and MEASURES of one shard's usable clips."""
    table = _read_landmarks(path, frames=usable["frames"].cast(pl.Int64).sum())
    counted = table.group_by("clip_id", maintain_order=True).agg(
        pl.len().alias("frames"), pl.col("detector").count().alias("frames_with_face")
    )
    said = usable.select("clip_id", *(pl.col(c).cast(pl.UInt32) for c in ("frames", "frames_with_face")))
    if not counted.sort("clip_id").equals(said.sort("clip_id")):
        raise _damaged(path, "its clips and frames are not those of the clips table")
    with_face = table.filter(pl.col("detector").is_not_null())
    box = with_face["box"].to_numpy().reshape(-1, 4).astype(np.float64)
    landmarks = with_face["landmarks"].to_numpy().reshape(-1, 68, 2)
    size = box[:, 2:] - box[:, :2]
    if not (np.isfinite(landmarks).all() and np.isfinite(box).all() and (size > 0).all()):
        raise _damaged(path, "a landmark or a box is not a number, or a box has no size")
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


def _read_landmarks(path: Path, frames: int) -> pl.DataFrame:
    """COLUMNS of a landmark table that must have `frames` rows; the count is compared before they are read."""
    try:
        lazy = pl.scan_parquet(path)
        schema, expected = lazy.collect_schema(), landmarks_schema(DLIB18.count)
        wrong = [name for name in COLUMNS if schema.get(name) != expected[name]]
        if wrong:
            raise _damaged(path, f"missing or wrong columns: {', '.join(wrong)}")
        if lazy.select(pl.len()).collect().item() != frames:
            raise _damaged(path, "its number of frames is not that of the clips table")
        table = lazy.select(COLUMNS).collect()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise _damaged(path, str(error).split("\n")[0]) from None
    if any(table[name].null_count() for name in ("clip_id", "box", "landmarks")):
        raise _damaged(path, "it has empty fields")
    return table


def _damaged(path: Path, reason: str) -> UserError:
    return UserError(f"{path} is missing or damaged ({reason}); make this cache again")
