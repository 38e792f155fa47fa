"""What a huge dataset costs before its first clip: planning and resuming a manifest of a million rows, no video.

    python tests/benchmarks/planning.py [--rows 1000000] [--stills 100000]

Half of the shards are committed. With --stills also the reading of stills from the disk: so many empty files in label
folders, so many AffectNet annotations, and FER2013's 35 887 rows. Prints seconds and the peak memory of the process.
"""

import argparse
import json
import resource
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl

from dfer.data_manifest.datasets import read_manifest
from dfer.pipeline.cache import plan
from dfer.schemas.cache import COMMIT_FILE

FER_ROWS = 35_887
LABELS = ("angry", "fear", "happy", "neutral", "sad")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--stills", type=int, default=0)
    arguments = parser.parse_args()
    _plan_rows(arguments.rows)
    if arguments.stills:
        for build in (_label_folders, _annotations, _pixels):
            _read_stills(build, arguments.stills)


def _plan_rows(rows: int) -> None:
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
    print(f"{rows} rows, {len(shards)} shards, {len(to_do)} to do: {seconds:.2f} s, {_peak()}")


def _read_stills(build: Callable[[Path, int], None], count: int) -> None:
    with TemporaryDirectory() as folder:
        build(Path(folder), count)
        started, busy = time.perf_counter(), time.process_time()
        manifest = read_manifest(Path(folder))
        plan.plan_shards(manifest.clips, 256)
        seconds, processor = time.perf_counter() - started, time.process_time() - busy
    shown = f"{manifest.dataset}, {len(manifest.clips)} stills read and planned"
    print(f"{shown}: {seconds:.2f} s ({processor:.2f} s of processor time), {_peak()}")


def _label_folders(root: Path, count: int) -> None:
    for label in LABELS:
        (root / label).mkdir()
    for number in range(count):
        (root / LABELS[number % len(LABELS)] / f"{number:06}.jpg").touch()


def _annotations(root: Path, count: int) -> None:
    images, annotations = (root / "train_set" / name for name in ("images", "annotations"))
    for folder in (images, annotations):
        folder.mkdir(parents=True)
    for expression in range(8):
        np.save(root / f"{expression}.npy", str(expression))
    for number in range(count):
        (images / f"{number}.jpg").touch()
        shutil.copy(root / f"{number % 8}.npy", annotations / f"{number}_exp.npy")


def _pixels(root: Path, _: int) -> None:
    row = " ".join(["128"] * 48**2)
    with (root / "fer2013.csv").open("w") as file:
        file.write("emotion,pixels,Usage\n")
        file.writelines(f"{number % 7},{row},Training\n" for number in range(FER_ROWS))


def _peak() -> str:
    return f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB"


if __name__ == "__main__":
    main()
