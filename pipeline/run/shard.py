"""`pipeline shard`: extract one shard of a cache that was prepared elsewhere. Dask workers run it."""

from pathlib import Path

from dfer.pipeline.cache import plan
from dfer.pipeline.cache.folder import read_plan
from dfer.pipeline.cache.info import make_info, read_config
from dfer.pipeline.config import RunOptions
from dfer.pipeline.run.build import build_shards, make_extractor
from dfer.schemas.support.errors import UserError


def extract_shard(cache: Path, source: Path, index: int, options: RunOptions) -> None:
    """Extract a shard, unless it is committed already.

    source: the folder that the clips' paths are relative to
    index: number of the shard

    Raises UserError if the cache was started with other models or settings than this program has.
    """
    info, manifest = read_plan(cache)
    config, keypoints = read_config(cache, info), info.keypoints
    if make_info(manifest, config, keypoints).settings_hash != info.settings_hash:
        raise UserError(
            f"{cache} was started with other models or another version; use one version everywhere"
        )
    planned = plan.plan_shards(manifest.clips, config.shard_clips)
    if not 0 <= index < len(planned):
        raise UserError(f"{cache} has no shard {index}: it has {len(planned)}")
    to_do = list(plan.shards_to_do(cache, [planned[index]], info.settings_hash))
    build_shards(cache, source, to_do, info, make_extractor(config, keypoints, options), options)
