"""Build caches from extracted clips in processes that are killed on the way: an extraction without its workers.

python build.py JOB: JOB is a file with a pickled dict (manifest, config, clips). A line of stdin is a JSON list: the
step and folder for `arm`, and the cache. Each is built in a forked process, as starting Python takes longer than
building; the answer is its exit code, negative if it was killed.
"""

import json
import os
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


def serve(job: Path) -> None:
    import pyarrow  # noqa: F401 (once, not in every child)
    from kill_steps import arm

    for line in sys.stdin:
        step, cache = json.loads(line)
        child = os.fork()
        if not child:  # polars has not started its threads before the fork
            arm(step, cache)
            build(Path(cache), **pickle.loads(job.read_bytes()))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
