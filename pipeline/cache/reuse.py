"""Boxes and landmarks of earlier caches, found by a clip's content: what is not detected twice.

A worker opens the tables itself when it first needs them; what is passed to it is only where they are.
"""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from dfer.pipeline.records import StoredFace
from dfer.schemas import cache as layout
from dfer.schemas.cache import CacheInfo
from dfer.schemas.keypoints import LANDMARKS
from dfer.schemas.read_cache import read_cache_info, read_clips
from dfer.schemas.support.errors import UserError

# What `--reuse` reads of a landmark table.
COLUMNS = ("clip_id", "frame", "source_frame", "detector", "score", "box", "landmarks")


@dataclass(frozen=True, kw_only=True)
class Reuse:
    """Earlier caches, the first that holds a clip counts."""

    folders: tuple[Path, ...]

    def find(self, fingerprint: str) -> StoredFace | None:
        """The face of the clip with this content; None where no cache has it.

        Raises UserError where a cache is damaged.
        """
        place = _index(self.folders).get(fingerprint)
        return None if place is None else _read(*place)


def open_reuse(folders: tuple[Path, ...], landmark_hash: str) -> Reuse | None:
    """Earlier caches whose landmarks were made with the settings of this hash; None for no folders.

    Raises UserError for a folder that is no cache, or was made with other detection settings.
    """
    for folder in folders:
        info: CacheInfo = read_cache_info(folder)
        if info.landmark_hash != landmark_hash:
            raise UserError(
                f"--reuse {folder}: its landmarks were made with other settings or models "
                f"({', '.join(f'{k}={v}' for k, v in info.settings.items())}); leave it out"
            )
        read_clips(folder)
    return Reuse(folders=folders) if folders else None


@functools.cache
def _index(folders: tuple[Path, ...]) -> dict[str, tuple[Path, int, str, str, str | None]]:
    """fingerprint → (cache, shard, clip_id, status, warning) of all clips whose outcome can be taken over."""
    places: dict[str, tuple[Path, int, str, str, str | None]] = {}
    for folder in folders:
        clips = read_clips(folder).filter(pl.col("status").is_in([layout.OK, layout.NO_FACE]))
        rows = clips.select("fingerprint", "shard", "clip_id", "status", "source_warning").iter_rows()
        for fingerprint, *place in rows:
            places.setdefault(fingerprint, (folder, *place))
    return places


def _read(folder: Path, shard: int, clip_id: str, status: str, warning: str | None) -> StoredFace:
    if status == layout.NO_FACE:
        empty = np.zeros((0, 4)), np.zeros((0, 68, 2))
        return StoredFace(
            positions=[], detector=[], score=[], boxes=empty[0], landmarks=empty[1], warning=warning
        )
    rows = _shard_table(folder, shard).filter(pl.col("clip_id") == clip_id).sort("frame")
    numbers = [rows[name].to_numpy() for name in ("box", "landmarks")] if len(rows) else []
    if not numbers or not all(np.isfinite(part).all() for part in numbers):
        raise UserError(f"--reuse {folder}: the landmarks of {clip_id} are missing or damaged; leave it out")
    return StoredFace(
        positions=rows["source_frame"].to_list(),
        detector=rows["detector"].to_list(),
        score=rows["score"].to_list(),
        boxes=numbers[0].astype(float),
        landmarks=numbers[1].astype(float),
        warning=warning,
    )


@functools.lru_cache(maxsize=2)
def _shard_table(folder: Path, shard: int) -> pl.DataFrame:
    path = folder / layout.SHARD_FILES["landmarks"].format(shard)
    try:
        table = pl.read_parquet(path, columns=list(COLUMNS))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UserError(f"{path} is missing or damaged ({type(error).__name__}); leave out --reuse") from None
    expected = layout.landmarks_schema(LANDMARKS)
    if any(table.schema[name] != expected[name] for name in COLUMNS):
        raise UserError(f"{path} has the wrong columns; leave out --reuse {folder}")
    return table
