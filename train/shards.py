"""Open a landmark cache for training: what made it, and its clips table."""

from pathlib import Path

import polars as pl

from schemas.cache import OK, CacheInfo, read_cache_info, read_clips
from schemas.errors import UserError
from schemas.keypoints import DLIB18


class Cache:
    """An open cache. Cheap to pickle: a worker process maps the shards itself, when it reads them."""

    def __init__(self, folder: Path) -> None:
        """Raises UserError where the folder is no finished cache that this program can read."""
        self.folder = folder
        self.info: CacheInfo = read_cache_info(folder)
        if self.info.keypoint_set != DLIB18.name:
            raise UserError(f"{folder} holds the key-points {self.info.keypoint_set!r}, not {DLIB18.name!r}")
        size = self.info.settings.get("size")
        if not isinstance(size, int) or size < 1:
            raise UserError(f"{folder}: cache.json gives no size of the crops; make the cache again")
        self.clips: pl.DataFrame = read_clips(folder)
        if usable(self.clips).select("shard", "row").null_count().sum_horizontal().sum():
            raise UserError(
                f"{folder}: clips.parquet does not say where usable clips lie; make the cache again"
            )

    @property
    def has_expressions(self) -> bool:
        """Whether it was extracted with MediaPipe's expression scores."""
        return self.info.settings.get("blendshapes") is True

    @property
    def crop_size(self) -> int:
        """Side of the stored crops, pixels."""
        return int(self.info.settings["size"])


def usable(clips: pl.DataFrame) -> pl.DataFrame:
    """The rows of a clips table that hold crops."""
    return clips.filter(pl.col("status") == OK)
