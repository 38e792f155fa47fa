"""What `train baseline`, and so the start of a run, costs on many clips: seconds and peak memory.

    python tests/benchmarks/baseline.py [--clips 40000] [--frames 32]

Writes landmark tables of made-up clips (0.9 GB by default) without faces. Their points and scores vary together, as
those of faces do: that makes the fit slow, independent ones would be fitted in a tenth of the steps.
"""

import argparse
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl

from dfer.schemas.cache import (
    CLIPS_FILE,
    CLIPS_SCHEMA,
    INFO_FILE,
    OK,
    SHARD_FILES,
    CacheInfo,
    landmarks_schema,
)
from dfer.schemas.keypoints import DLIB18
from dfer.train.data.caches import open_pool, usable
from dfer.train.data.class_matching import label_ids
from dfer.train.data.landmark_features import clip_features
from dfer.train.models.landmark_regression import fit

CLIPS_IN_A_SHARD = 256
SIZE = 128
LABELS = tuple("abcdefg")
MODES = 30  # ways in which a face moves


def write_tables(folder: Path, clips: int, frames: int) -> None:
    """Write a cache's tables as `pipeline share` leaves them, in five folds."""
    random = np.random.default_rng(0)
    modes = random.normal(size=(MODES, 136 + 52))
    centres = random.normal(size=(len(LABELS), MODES))
    labels = random.integers(0, len(LABELS), clips)
    (folder / "landmarks").mkdir()
    for shard, start in enumerate(range(0, clips, CLIPS_IN_A_SHARD)):
        numbers = np.arange(start, min(clips, start + CLIPS_IN_A_SHARD))
        moved = centres[labels[numbers]] + 2 * random.normal(size=(len(numbers), MODES))
        values = np.repeat(moved @ modes, frames, axis=0)
        values += 0.1 * random.normal(size=values.shape)
        columns = {
            "clip_id": np.repeat([f"{number:06d}" for number in numbers], frames),
            "frame": np.tile(np.arange(frames), len(numbers)),
            "detector": np.where(random.random(len(values)) < 0.95, "blazeface", None).tolist(),
            "landmarks": (SIZE / 2 + values[:, :136]).astype(np.float32).reshape(-1, 68, 2),
            "transform": np.tile(np.eye(2, 3, dtype=np.float32), (len(values), 1, 1)),
            "blendshapes": (1 / (1 + np.exp(-values[:, 136:] / 4))).astype(np.float32),
        }
        schema = {name: kind for name, kind in landmarks_schema(DLIB18.count).items() if name in columns}
        pl.DataFrame(columns, schema=schema).write_parquet(folder / SHARD_FILES["landmarks"].format(shard))
    every = np.arange(clips)
    table = pl.DataFrame(
        {
            "clip_id": [f"{number:06d}" for number in every],
            "label": [LABELS[label] for label in labels],
            "status": OK,
            "fold": every % 5 + 1,
            "shard": every // CLIPS_IN_A_SHARD,
            "row": every % CLIPS_IN_A_SHARD,
        }
    ).with_columns(path="clips/" + pl.col("clip_id"))
    table = table.with_columns(pl.lit(None).alias(name) for name in CLIPS_SCHEMA if name not in table.columns)
    table.select(pl.col(name).cast(kind) for name, kind in CLIPS_SCHEMA.items()).write_parquet(
        folder / CLIPS_FILE
    )
    info = CacheInfo(
        dataset="made-up",
        labels=LABELS,
        keypoint_set=DLIB18.name,
        settings={"size": SIZE, "blendshapes": True},
        settings_hash="0" * 64,
        landmark_hash="0" * 64,
        versions={},
        models={},
    )
    (folder / INFO_FILE).write_bytes(info.to_json())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--clips", type=int, default=40_000)
    parser.add_argument("--frames", type=int, default=32)
    arguments = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_tables(folder, arguments.clips, arguments.frames)
        program = Path(sys.executable).parent / "train"
        started = time.perf_counter()
        subprocess.run(
            [program, "baseline", folder, "--fold", "1", "--json"], check=True, stdout=subprocess.DEVNULL
        )
        seconds = time.perf_counter() - started
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(
            f"train baseline, {arguments.clips} clips of {arguments.frames} frames: {seconds:.1f} s "
            f"({used.ru_utime + used.ru_stime:.1f} s of processor time), peak memory {used.ru_maxrss / 1e6:.2f} GB"
        )
        pool = open_pool(folder, faces=False)
        clips = usable(pool.clips)
        started = time.process_time()
        features = clip_features(pool, clips)
        read = time.process_time()
        fit(features, np.array(label_ids(clips, pool.labels)), len(pool.labels))
        fitted = time.process_time() - read
        print(f"processor time: {read - started:.1f} s to read the features, {fitted:.1f} s to fit")


if __name__ == "__main__":
    main()
