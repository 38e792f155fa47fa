"""Write real landmark caches of made-up clips, as an extraction would.

`write_cache` stores any crops, `write_flat_cache` a hundred thousand clips in seconds.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import simplejpeg

from dfer.schemas.cache import (
    CLIPS_FILE,
    CLIPS_SCHEMA,
    INFO_FILE,
    NO_FACE,
    OK,
    SHARD_FILES,
    CacheInfo,
    faces_schema,
)
from dfer.schemas.keypoints import DLIB18, KeypointSet

CLIPS_IN_A_SHARD = 256
QUALITY = 95
ABOUT = ("label", "split", "fold", "subject", "scene", "votes")


@dataclass(frozen=True, kw_only=True)
class SyntheticClip:
    """A clip to store; the other fields are columns of the clips table.

    crops: (m, s, s, 3) uint8 RGB; None for a clip without a face
    keypoints: (m, K, 2) crop pixels
    """

    label: str | None
    crops: np.ndarray | None = None
    keypoints: np.ndarray | None = None
    split: str | None = None
    fold: int | None = None
    subject: str | None = None
    scene: str | None = None
    votes: Sequence[float] | None = None


def write_cache(
    folder: Path,
    clips: Sequence[SyntheticClip],
    labels: Sequence[str] | None = None,
    dataset: str = "synthetic",
    keypoints: KeypointSet = DLIB18,
) -> Path:
    """Write a cache of these clips, with ids 000000, 000001, …

    labels: the classes in order; by default those of the clips, sorted
    keypoints: the set that the clips' key-points belong to

    Returns the folder.
    """
    size = next(clip.crops.shape[1] for clip in clips if clip.crops is not None)
    rows = []
    for shard, members in _shards([*enumerate(clips)]):
        with _face_shard(folder, shard) as writer:
            row = 0
            for number, clip in members:
                clip_id = f"{number:06d}"
                place = {"status": NO_FACE, "reason": "no face in any frame", "frames": 0}
                if clip.crops is not None:
                    jpegs = [*map(encoded, clip.crops)]
                    writer.write_batch(_stored(clip_id, jpegs, clip.keypoints))
                    fingerprint = hashlib.sha256(b"".join(jpegs)).hexdigest()
                    place = {"status": OK, "frames": len(jpegs), "row": row, "fingerprint": fingerprint}
                    row += 1
                about = {name: getattr(clip, name) for name in ABOUT}
                rows.append({"clip_id": clip_id, "shard": shard, **about, **place})
    found = sorted({clip.label for clip in clips if clip.label is not None})
    _write_tables(
        folder, pl.DataFrame(rows, infer_schema_length=None), labels or found, size, dataset, keypoints
    )
    return folder


def write_flat_cache(folder: Path, clips: int = 100_000, frames: int = 4, size: int = 32) -> Path:
    """Write a cache of very many clips of two labels with the same grey crops: about ten seconds for 100 000."""
    jpeg = encoded(np.full((size, size, 3), 128, np.uint8))
    one = _stored("", [jpeg] * frames, np.full((frames, DLIB18.count, 2), (size - 1) / 2))
    numbers = np.arange(clips)
    ids = [f"{number:06d}" for number in numbers]
    for shard, members in _shards(ids):
        with _face_shard(folder, shard) as writer:
            for clip_id in members:
                writer.write_batch(one.set_column(0, one.schema.field(0), pa.array([clip_id])))
    table = pl.DataFrame(
        {
            "clip_id": ids,
            "label": np.where(numbers % 2, "b", "a"),
            "status": OK,
            "frames": frames,
            "shard": numbers // CLIPS_IN_A_SHARD,
            "row": numbers % CLIPS_IN_A_SHARD,
        }
    )
    _write_tables(folder, table, ["a", "b"], size, "synthetic", DLIB18)
    return folder


def encoded(crop: np.ndarray) -> bytes:
    """Encode a crop (s, s, 3) uint8 as an extraction does."""
    return simplejpeg.encode_jpeg(np.ascontiguousarray(crop), quality=QUALITY, colorsubsampling="420")


def _shards(members: Sequence) -> Iterator[tuple[int, Sequence]]:
    for shard, start in enumerate(range(0, len(members), CLIPS_IN_A_SHARD)):
        yield shard, members[start : start + CLIPS_IN_A_SHARD]


def _face_shard(folder: Path, shard: int) -> pa.RecordBatchFileWriter:
    path = folder / SHARD_FILES["faces"].format(shard)
    path.parent.mkdir(parents=True, exist_ok=True)
    return pa.ipc.new_file(path, faces_schema())


def _stored(clip_id: str, jpegs: Iterable[bytes], keypoints: np.ndarray) -> pa.RecordBatch:
    row = {
        "clip_id": clip_id,
        "crops": list(jpegs),
        "keypoints": np.asarray(keypoints, np.float32).ravel(),
        "detected": [True] * len(keypoints),
        "blendshapes": None,
    }
    return pa.RecordBatch.from_pylist([row], schema=faces_schema())


def _write_tables(
    folder: Path, clips: pl.DataFrame, labels: Sequence[str], size: int, dataset: str, keypoints: KeypointSet
) -> None:
    """Write clips.parquet, with null for columns that are not given, and cache.json."""
    table = clips.with_columns(path="clips/" + pl.col("clip_id"))
    table = table.with_columns(pl.lit(None).alias(name) for name in CLIPS_SCHEMA if name not in table.columns)
    table.select(pl.col(name).cast(kind) for name, kind in CLIPS_SCHEMA.items()).write_parquet(
        folder / CLIPS_FILE
    )
    info = CacheInfo(
        dataset=dataset,
        labels=tuple(labels),
        keypoint_set=keypoints.name,
        settings={"size": size, "quality": QUALITY},
        settings_hash="0" * 64,
        landmark_hash="0" * 64,
        versions={},
        models={},
    )
    (folder / INFO_FILE).write_bytes(info.to_json())
