"""What a huge dataset costs before its first clip: planning and resuming a manifest of a million rows, no video.

    python tests/benchmarks/planning.py [--rows 1000000]

Half of the shards are committed. Prints seconds and the peak memory of the process.
"""

import argparse
import json
import resource
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from dfer.pipeline.cache import plan
from dfer.schemas.cache import COMMIT_FILE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    ids = pl.Series("clip_id", range(rows)).cast(pl.String).str.zfill(9)
    clips = pl.DataFrame(
        {"clip_id": ids, "path": "scene/label/" + ids + ".mp4", "kind": "video", "bytes": 250_000}
    )
    with TemporaryDirectory() as folder:
        cache = Path(folder)
        (cache / "commits").mkdir()
        for shard in plan.plan_shards(clips, 256)[::2]:
            commit = {"settings_hash": "s", "clip_list_hash": shard.clip_list_hash, "files": {}}
            (cache / COMMIT_FILE.format(shard.index)).write_text(json.dumps(commit))
        started = time.perf_counter()
        shards = plan.plan_shards(clips, 256)
        to_do = list(plan.shards_to_do(cache, shards, "s"))
        seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"{rows} rows, {len(shards)} shards, {len(to_do)} to do: {seconds:.2f} s, peak memory {peak:.2f} GB"
    )


if __name__ == "__main__":
    main()
