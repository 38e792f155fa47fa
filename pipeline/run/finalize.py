"""`pipeline finalize`: finish a cache whose slices were extracted one by one."""

from pathlib import Path

import polars as pl

from dfer.pipeline.cache import plan
from dfer.pipeline.cache.folder import finish_cache, read_plan
from dfer.pipeline.cache.info import read_config
from dfer.pipeline.cache.lock import exclusive_lock
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.text import counted


def finalize(cache: Path) -> pl.DataFrame:
    """Write `clips.parquet` and the seal of a cache whose shards are all done. Returns the clips table.

    Raises UserError if shards are missing or still being extracted, or if the cache is damaged or cannot be written.
    """
    with exclusive_lock(cache):
        info, manifest = read_plan(cache)
        planned = plan.plan_shards(manifest.clips, read_config(cache, info).shard_clips)
        missing = sum(1 for _ in plan.shards_to_do(cache, planned, info.settings_hash))
        if missing:
            shards = counted(len(planned), "shard")
            raise UserError(f"{cache}: {missing} of {shards} not done; run their slices first")
        return finish_cache(cache, manifest, planned)
