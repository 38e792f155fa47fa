"""Write a shard completely or not at all: its three files first, its commit last."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import polars as pl

from dfer.pipeline.cache.plan import Shard
from dfer.pipeline.records import ExtractedClip
from dfer.schemas.cache import (
    COMMIT_FILE,
    PERSON,
    SHARD_FILES,
    CacheInfo,
    faces_schema,
    is_unfinished_file,
    landmarks_schema,
    person_id,
    shard_of,
)
from dfer.schemas.support.files import atomic_file, file_sha256, remove_durably, write_atomic, write_parquet


def write_shard(cache: Path, shard: Shard, clips: Sequence[ExtractedClip], info: CacheInfo) -> None:
    """Write and commit one shard.

    clips: the extracted clips, in the shard's order
    info: content of the cache's `cache.json`

    Raises OSError if the cache cannot be written; the shard then counts as not done.
    """
    named = [
        (person_id(clip_id, person), person, seen)
        for clip_id, clip in zip(shard.clip_ids, clips, strict=True)
        for person, seen in enumerate((clip, *clip.others), 1)
    ]
    usable = [(clip_id, clip) for clip_id, _, clip in named if clip.track]
    commit = cache / COMMIT_FILE.format(shard.index)
    remove_durably(commit)  # an old commit must not cover new files
    files = {kind: cache / name.format(shard.index) for kind, name in SHARD_FILES.items()}
    with atomic_file(files["faces"]) as file:
        _write_faces(file, usable)
    write_parquet(files["landmarks"], _landmark_table(usable, landmarks_schema(info.keypoints.count)))
    write_parquet(files["clips"], _result_table(shard.index, named, info.results_schema))
    content = {
        "settings_hash": info.settings_hash,
        "clip_list_hash": shard.clip_list_hash,
        "rows": {
            "clips": len(named),
            "faces": len(usable),
            "landmarks": sum(len(c.track.crops) for _, c in usable),
        },
        "files": {
            str(path.relative_to(cache)): {"bytes": path.stat().st_size, "sha256": file_sha256(path)}
            for path in files.values()
        },
    }
    write_atomic(commit, (json.dumps(content, indent=2, sort_keys=True) + "\n").encode())


def leftovers(cache: Path, shards: int) -> list[Path]:
    """Find what a finished cache with this many shards must not contain: later shards, and files of killed runs.

    Commits come first, so that no commit ever covers a file that is already removed. Files that no extraction
    writes are left out.
    """
    late, unfinished = [], []
    names = (path.relative_to(cache).as_posix() for path in sorted(cache.rglob("*")) if path.is_file())
    for name in filter(is_unfinished_file, names):
        index = shard_of(name)
        if name.endswith(".tmp"):
            unfinished.append(cache / name)
        elif index is not None and index >= shards:
            late.append(cache / name)
    commits = cache / COMMIT_FILE
    return [*sorted(late, key=lambda path: path.parent != commits.parent), *unfinished]


def _write_faces(file: BinaryIO, usable: Sequence[tuple[str, ExtractedClip]]) -> None:
    import pyarrow as pa

    schema = faces_schema()
    with pa.ipc.new_file(file, schema) as writer:
        for clip_id, clip in usable:
            track = clip.track
            row = {
                "clip_id": clip_id,
                "crops": track.crops,
                "landmarks": track.crop_landmarks.astype(np.float32).ravel(),
                "keypoints": track.crop_keypoints.astype(np.float32).ravel(),
                "detected": [detector is not None for detector in track.detector],
                "blendshapes": None if track.blendshapes is None else track.blendshapes.ravel(),
            }
            writer.write_batch(pa.RecordBatch.from_pylist([row], schema=schema))


def _landmark_table(usable: Sequence[tuple[str, ExtractedClip]], schema: pl.Schema) -> pl.DataFrame:
    parts = [_landmark_rows(clip_id, clip, schema) for clip_id, clip in usable]
    return pl.concat(parts) if parts else schema.to_frame()


def _landmark_rows(clip_id: str, clip: ExtractedClip, schema: pl.Schema) -> pl.DataFrame:
    track = clip.track
    frames = len(track.crops)
    columns: dict[str, Any] = {
        "clip_id": [clip_id] * frames,
        "frame": range(frames),
        "source_frame": track.source_frame,
        "time_s": track.time_s,
        "detector": track.detector,
        "score": track.score,
        "box": track.box.astype(np.float32),
        "landmarks": track.landmarks.astype(np.float32),
        "keypoints": track.keypoints.astype(np.float32),
        "transform": track.transform.astype(np.float32),
        "blendshapes": _scores_or_null(track.blendshapes, frames),
    }
    return pl.DataFrame(columns, schema=schema)


def _scores_or_null(scores: np.ndarray | None, frames: int) -> list[list[float] | None]:
    """Blendshapes (m, 52) as table rows: null if they were not asked for or MediaPipe saw no face."""
    if scores is None:
        return [None] * frames
    # Lists, since polars does not accept arrays among nulls.
    return [None if np.isnan(row).any() else row.tolist() for row in scores]


def _result_table(
    shard: int, named: Sequence[tuple[str, int, ExtractedClip]], schema: pl.Schema
) -> pl.DataFrame:
    rows, usable = [], 0
    for clip_id, person, clip in named:
        facts, track = clip.facts, clip.track
        rows.append(
            {
                "clip_id": clip_id,
                "status": clip.status,
                "reason": clip.reason,
                "frames": len(track.crops) if track else 0,
                "frames_with_face": sum(d is not None for d in track.detector) if track else 0,
                "source_frames": facts and facts.frames,
                "fps": facts and facts.fps,
                "duration_s": facts and facts.duration_s,
                "width": facts and facts.width,
                "height": facts and facts.height,
                "source_warning": facts and facts.warning,
                "fingerprint": clip.fingerprint,
                "shard": shard,
                "row": usable if track else None,
                PERSON: person,
            }
        )
        usable += track is not None
    return pl.DataFrame(rows, schema=schema)
