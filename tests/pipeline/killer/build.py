"""Build a cache from clips that were extracted before: `python build.py JOB CACHE`, JOB a pickled dict.

All of an extraction but its worker processes, so that a test can afford to kill it at every step.
"""

import pickle
import sys
from pathlib import Path

from dfer.pipeline.cache import plan
from dfer.pipeline.run import extract


def build(cache: Path, manifest, config, clips: dict) -> None:
    """clips: path → ExtractedClip, for every path of the manifest."""
    with extract.begun(manifest, cache, config) as (info, planned):
        to_do = list(plan.shards_to_do(cache, planned, info.settings_hash))
        results = (((s.index, place), clips[path]) for s in to_do for place, path in enumerate(s.paths))
        if to_do:
            extract.write_as_finished(cache, to_do, results, info.settings_hash)
        extract.finalize(cache, manifest, planned)


if __name__ == "__main__":
    build(Path(sys.argv[2]), **pickle.loads(Path(sys.argv[1]).read_bytes()))
