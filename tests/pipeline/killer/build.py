"""Build a cache from extracted clips: `python build.py JOB CACHE`, with a pickled dict as JOB.

This is an extraction without its worker processes, so that a test can afford to kill it at every step.
"""

import pickle
import sys
from pathlib import Path

from dfer.pipeline.cache import plan
from dfer.pipeline.cache.folder import finish_cache
from dfer.pipeline.run.build import write_shards
from dfer.pipeline.run.extract import prepared_cache
from dfer.schemas.keypoints import DLIB18


def build(cache: Path, manifest, config, clips: dict) -> None:
    """clips: path → ExtractedClip, for every path of the manifest."""
    with prepared_cache(manifest, cache, config, DLIB18) as (info, planned):
        to_do = list(plan.shards_to_do(cache, planned, info.settings_hash))
        results = (((s.index, place), clips[path]) for s in to_do for place, path in enumerate(s.paths))
        if to_do:
            write_shards(cache, to_do, results, info)
        finish_cache(cache, manifest, planned)


if __name__ == "__main__":
    build(Path(sys.argv[2]), **pickle.loads(Path(sys.argv[1]).read_bytes()))
