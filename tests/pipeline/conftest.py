"""Made-up caches, for content that no real clip has."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from dfer.pipeline.face import mediapipe_tasks
from dfer.schemas.cache import CLIPS_SCHEMA, CacheInfo, faces_schema, landmarks_schema
from dfer.schemas.keypoints import DLIB18

SIZE = 32
SCHEMA = landmarks_schema(DLIB18.count)
PER_SHARD = 4


def face(rng: np.random.Generator) -> np.ndarray:
    """68 points (68, 2), roughly in the places of a face."""
    points = rng.uniform(20, 80, (68, 2))
    points[[36, 45, 30, 48, 54]] = [[30, 40], [70, 40], [50, 58], [38, 72], [62, 72]]
    return points + rng.normal(0, 1, (68, 2))


@pytest.fixture(scope="session", autouse=True)
def closed_detectors():
    """Close what tests loaded of MediaPipe: its own end prints tracebacks."""
    yield
    mediapipe_tasks.close_detectors()


@pytest.fixture
def make_cache(tmp_path) -> Callable[..., Path]:
    """make_cache([{"label": …, "frames": 4, "found": 2, "score": 0.9}, {"status": "no_face", …}], **cache.json).

    Shards hold four clips. The first `found` frames have a face; box sides are 50 plus the clip's number.
    """

    def make(specs: list[dict[str, Any]], name: str = "cache", **changes: Any) -> Path:
        import simplejpeg

        folder, rng = tmp_path / name, np.random.default_rng(0)
        for part in ("faces", "landmarks"):
            (folder / part).mkdir(parents=True)
        info = {
            "dataset": "made up",
            "labels": ("a", "b"),
            "keypoint_set": "dlib18",
            "settings": {"size": SIZE},
        }
        info |= {
            "settings_hash": "0" * 64,
            "landmark_hash": "0" * 64,
            "versions": {"polars": "1.2.3"},
            "models": {"m.dat": "f" * 64},
        }
        (folder / "cache.json").write_bytes(CacheInfo(**{**info, **changes}).to_json())
        rows = []
        for shard in range(-(-len(specs) // PER_SHARD)):
            tables, batches = [], []
            for i in range(shard * PER_SHARD, min(len(specs), (shard + 1) * PER_SHARD)):
                spec = {"frames": 4, "score": 0.9, "status": "ok", **specs[i]}
                row = {"clip_id": f"clip{i}", "path": f"clip{i}.mp4", "frames": 0, "frames_with_face": 0}
                row |= {k: v for k, v in spec.items() if k in CLIPS_SCHEMA} | {"shard": shard}
                if spec["status"] == "ok":
                    m = spec["frames"]
                    found = np.arange(m) < spec.get("found", m)
                    row |= {"row": len(batches), "frames_with_face": int(found.sum())}
                    landmarks = np.array([face(rng) for _ in range(m)])
                    columns = {
                        "clip_id": [row["clip_id"]] * m,
                        "frame": range(m),
                        "source_frame": range(m),
                        "detector": [spec.get("detector", "blazeface") if f else None for f in found],
                        "score": [spec["score"] if f else None for f in found],
                        "box": np.tile(np.float32([0, 0, 50 + i, 50 + i]), (m, 1)),
                        "landmarks": landmarks.astype(np.float32),
                        "keypoints": DLIB18.select(landmarks).astype(np.float32),
                    }
                    empty = {c: [None] * m for c in ("time_s", "transform", "blendshapes")}
                    tables.append(pl.DataFrame({**columns, **empty}, schema_overrides=SCHEMA))
                    jpeg = simplejpeg.encode_jpeg(rng.integers(0, 255, (SIZE, SIZE, 3), np.uint8))
                    batch = {
                        "clip_id": row["clip_id"],
                        "crops": [spec.get("jpeg", jpeg)] * m,
                        "landmarks": rng.uniform(0, SIZE, m * 136).astype(np.float32),
                        "keypoints": rng.uniform(0, SIZE, m * 36).astype(np.float32),
                        "detected": found.tolist(),
                    }
                    batches.append(pa.RecordBatch.from_pylist([batch], schema=faces_schema()))
                rows.append(row)
            tables = [table.select(SCHEMA.names()) for table in tables]
            table = pl.concat(tables) if tables else SCHEMA.to_frame()
            table.write_parquet(folder / "landmarks" / f"{shard:05}.parquet")
            with pa.ipc.new_file(str(folder / "faces" / f"{shard:05}.arrow"), faces_schema()) as writer:
                for batch in batches:
                    writer.write_batch(batch)
        pl.DataFrame(rows, schema=CLIPS_SCHEMA).write_parquet(folder / "clips.parquet")
        assert json.loads((folder / "cache.json").read_text())
        return folder

    return make


FAULTY = str(Path(__file__).parent / "faulty")


@pytest.fixture(scope="session")
def faulty_decoder() -> dict[str, str]:
    """The environment in which decord fails as `faulty/decord` describes."""
    path = [FAULTY, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(path)}


@pytest.fixture
def faulty_here(here, monkeypatch) -> Callable[..., subprocess.CompletedProcess]:
    """As `here`, but the decoder of the worker processes fails as `faulty/decord` describes."""
    monkeypatch.syspath_prepend(FAULTY)  # workers get this process's path
    return here
