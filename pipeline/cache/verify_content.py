"""Checks of the content of a cache's files: each alone, and against the others. Every fault is a WrongContentError.

A file that is checked against another one gets None if that one is wrong itself; the check is then left out.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from dfer.schemas.cache import (
    OK,
    SHARD_FILES,
    CacheInfo,
    faces_schema,
    landmarks_schema,
)
from dfer.schemas.keypoints import LANDMARKS

TOLERANCE = 0.01  # pixels: coordinates are stored with 24 bits


class WrongContentError(Exception):
    """A file's content is wrong. The text is one line about that file."""


@dataclass(frozen=True, kw_only=True)
class CommittedFile:
    """A file as its commit describes it."""

    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Commit:
    """A shard's commit.

    rows: number of clips, faces and landmarks
    files: by name relative to the cache
    """

    clip_list_hash: str
    rows: Mapping[str, int]
    files: Mapping[str, CommittedFile]


def read_commit(path: Path, index: int, info: CacheInfo | None) -> Commit:
    """Read and check the commit of a shard."""
    found = json.loads(path.read_bytes())
    require(isinstance(found, dict), "not a commit")
    rows, files = found.get("rows"), found.get("files")
    names = {name.format(index) for name in SHARD_FILES.values()}
    complete = isinstance(files, dict) and files.keys() == names
    require(complete, "its file list is not its shard's three files")
    complete = isinstance(rows, dict) and rows.keys() == SHARD_FILES.keys()
    require(complete, "it does not have three row counts")
    numbers = [*rows.values(), *(file["bytes"] for file in files.values())]
    require(all(type(n) is int and n >= 0 for n in numbers), "invalid count")
    if info:
        require(found.get("settings_hash") == info.settings_hash, "it was made with other settings")
    return Commit(
        clip_list_hash=found.get("clip_list_hash"),
        rows=rows,
        files={name: CommittedFile(bytes=f["bytes"], sha256=f["sha256"]) for name, f in files.items()},
    )


def read_landmarks(
    path: Path, results: pl.DataFrame | None, commit: Commit | None, info: CacheInfo | None
) -> pl.DataFrame:
    """Read and check a shard's landmark table: one row per usable clip and frame."""
    table = read_table(path, landmarks_schema(info.keypoints.count if info else _stored_count(path)))
    if commit:
        expected = commit.rows["landmarks"]
        require(len(table) == expected, f"{len(table)} rows, but {expected} in its commit")
    for name in ("box", "landmarks", "keypoints", "transform"):
        require(not table[name].null_count(), f"{name} is missing in a row")
        require(np.isfinite(table[name].to_numpy()).all(), f"{name} contains NaN or Inf")
    for name in ("time_s", "score"):
        each(table, pl.col(name).is_null() | pl.col(name).is_finite(), f"its {name} is NaN or Inf")
    each(table, pl.col("source_frame") >= 0, "its source_frame is negative")
    each(
        table,
        pl.col("detector").is_null() == pl.col("score").is_null(),
        "its detector and score contradict each other",
    )
    scores = table["blendshapes"].drop_nulls()
    require(not len(scores) or np.isfinite(scores.to_numpy()).all(), "blendshapes contains NaN or Inf")
    if info and len(table):
        selected = info.keypoints.select(table["landmarks"].to_numpy())
        far = np.abs(selected - table["keypoints"].to_numpy()).max((1, 2)) > TOLERANCE
        each(table, ~pl.lit(pl.Series(far)), "its key-points do not match its landmarks")
    if results is not None:
        _check_frames(table, results)
    return table


def _stored_count(path: Path) -> int:
    """The number of key-points in a landmark table."""
    kind = pl.read_parquet_schema(path).get("keypoints")
    return kind.shape[0] if isinstance(kind, pl.Array) else 0


def _check_frames(table: pl.DataFrame, results: pl.DataFrame) -> None:
    """Check that the rows are the frames of the usable clips in order, and the number of frames with a face."""
    usable = results.filter(pl.col("status") == OK)
    expected = usable.select("clip_id", frame=pl.int_ranges(pl.col("frames"), dtype=pl.Int32)).explode(
        "frame"
    )
    found = table.select("clip_id", "frame")
    require(found.equals(expected), "its rows are not the frames of its shard's usable clips")
    faces = table.group_by("clip_id", maintain_order=True).agg(pl.col("detector").count().cast(pl.Int32))
    agree = faces["detector"].to_list() == usable["frames_with_face"].to_list()
    require(agree, "its frames with a face do not match its shard's clip table")


def check_faces(
    path: Path, results: pl.DataFrame | None, landmarks: pl.DataFrame | None, info: CacheInfo | None
) -> None:
    """Check a face shard: one usable clip per batch, whose JPEGs and points match the other tables."""
    import pyarrow as pa

    reader = pa.ipc.open_file(pa.memory_map(str(path)))
    stored = {field.name: field for field in reader.schema}
    require_columns([field.name for field in faces_schema() if stored.get(field.name) != field])
    usable = results.filter(pl.col("status") == OK) if results is not None else None
    if usable is not None:
        batches = reader.num_record_batches
        require(batches == len(usable), f"{batches} clips, but its shard has {len(usable)} usable ones")
    start = 0
    for row in range(reader.num_record_batches):
        batch = reader.get_batch(row)
        batch.validate(full=True)
        require(batch.num_rows == 1, f"batch {row} is not one clip")
        clip = {name: batch.column(name)[0] for name in faces_schema().names}
        clip_id = clip["clip_id"].as_py()
        frames = len(clip["crops"])
        if usable is not None:
            same = (usable["clip_id"][row], usable["frames"][row]) == (clip_id, frames)
            require(same, f"batch {row} is not clip {usable['clip_id'][row]!r} with its frames")
        try:
            _check_crops(clip["crops"], info)
            of_clip = landmarks.slice(start, frames) if landmarks is not None and usable is not None else None
            _check_points(clip, frames, of_clip, info)
        except (WrongContentError, ValueError) as error:
            raise WrongContentError(f"clip {clip_id!r}: {error}") from None
        start += frames


def _check_crops(crops: Any, info: CacheInfo | None) -> None:
    import simplejpeg

    for crop in crops:
        data = memoryview(crop.as_buffer()).cast("B")
        height, width, *_ = simplejpeg.decode_jpeg_header(data)
        size = info.crop_size if info else height
        require(height == width == size, f"a crop has {width}×{height} pixels, not {size}×{size}")
        simplejpeg.decode_jpeg(data)


def _check_points(
    clip: Mapping[str, Any], frames: int, landmarks: pl.DataFrame | None, info: CacheInfo | None
) -> None:
    names = {"landmarks": "landmark", "keypoints": "key-point"}
    points = {name: clip[name].values.to_numpy(zero_copy_only=False) for name in names}
    detected = clip["detected"].as_py()
    count = info.keypoints.count if info else len(points["keypoints"]) // max(2 * frames, 1)
    for (name, one), n in zip(names.items(), (LANDMARKS, count), strict=True):
        agree = len(points[name]) == frames * n * 2 and len(detected) == frames
        require(agree, f"its numbers of crops, {one}s and detections differ")
        require(np.isfinite(points[name]).all(), f"a {one} is NaN or Inf")
    if landmarks is None:
        return
    faces = landmarks["detector"].is_not_null().to_list()
    require(detected == faces, "its detections do not match the landmark table")
    transform = landmarks["transform"].to_numpy().astype(np.float64)
    for name, one in names.items():
        moved = np.einsum("tij,tkj->tki", transform[..., :2], landmarks[name].to_numpy())
        moved += transform[:, None, :, 2]
        far = np.abs(moved - points[name].reshape(moved.shape)).max()
        require(far <= TOLERANCE, f"a {one} is {far:.3g} px from where the transform puts it")


def read_table(path: Path, schema: pl.Schema) -> pl.DataFrame:
    """Read a Parquet table that must have a schema's columns and may have more."""
    table = pl.read_parquet(path, glob=False)
    require_columns([name for name, kind in schema.items() if table.schema.get(name) != kind])
    return table


def require_columns(wrong: list[str]) -> None:
    require(not wrong, f"missing or wrong columns: {', '.join(wrong)}")


def each(table: pl.DataFrame, valid: pl.Expr, problem: str) -> None:
    """Require something of every row; null counts as false."""
    bad = table.filter(~valid.fill_null(False))
    if len(bad):
        raise WrongContentError(f"clip {bad['clip_id'][0]!r}: {problem}")


def require(valid: bool, problem: str) -> None:
    if not valid:
        raise WrongContentError(problem)
