"""Checks of the content of a cache's files: each alone, and against the others. Every fault is a WrongContentError.

A file that is checked against another one gets None if that one is wrong itself; the check is then left out.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import polars as pl

from dfer.pipeline.cache.plan import plan_shards
from dfer.schemas.cache import (
    CLIPS_SCHEMA,
    OK,
    RESULTS_SCHEMA,
    SHARD_FILES,
    STATUSES,
    CacheInfo,
    faces_schema,
    landmarks_schema,
)
from dfer.schemas.keypoints import LANDMARKS
from dfer.schemas.manifest import KINDS, MANIFEST_SCHEMA, votes_fit

TOLERANCE = 0.01  # pixels: coordinates are stored with 24 bits
SHA256 = "[0-9a-f]{64}"


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
    _require(isinstance(found, dict), "not a commit")
    rows, files = found.get("rows"), found.get("files")
    names = {name.format(index) for name in SHARD_FILES.values()}
    complete = isinstance(files, dict) and files.keys() == names
    _require(complete, "its file list is not its shard's three files")
    complete = isinstance(rows, dict) and rows.keys() == SHARD_FILES.keys()
    _require(complete, "it does not have three row counts")
    numbers = [*rows.values(), *(file["bytes"] for file in files.values())]
    _require(all(type(n) is int and n >= 0 for n in numbers), "invalid count")
    if info:
        _require(found.get("settings_hash") == info.settings_hash, "it was made with other settings")
    return Commit(
        clip_list_hash=found.get("clip_list_hash"),
        rows=rows,
        files={name: CommittedFile(bytes=f["bytes"], sha256=f["sha256"]) for name, f in files.items()},
    )


def read_results(path: Path, index: int, commit: Commit | None, info: CacheInfo | None) -> pl.DataFrame:
    """Read and check a shard's clip table (RESULTS_SCHEMA)."""
    table = _read_table(path, RESULTS_SCHEMA)
    _check_ids(table)
    ok, fingerprint = pl.col("status") == OK, pl.col("fingerprint")
    most = info.settings["frames"] if info else 2**31 - 1
    frames = pl.col("frames").is_between(
        pl.when(ok).then(1).otherwise(0), pl.when(ok).then(most).otherwise(0)
    )
    faces = pl.col("frames_with_face").is_between(pl.when(ok).then(1).otherwise(0), pl.col("frames"))
    _each(table, pl.col("status").is_in(STATUSES), "unknown status")
    _each(table, ok == pl.col("reason").is_null(), "its status and reason contradict each other")
    _each(table, pl.col("shard") == index, f"its shard is not {index}")
    _each(table, frames, "invalid number of frames")
    _each(table, faces, "invalid number of frames with a face")
    for name in ("fps", "duration_s"):
        _each(table, pl.col(name).is_null() | pl.col(name).is_finite(), f"its {name} is NaN or Inf")
    _each(
        table,
        fingerprint.is_null() | fingerprint.str.contains(f"^{SHA256}$"),
        "its fingerprint is not a sha256",
    )
    usable = (table["status"] == OK).to_list()
    rows = [sum(usable[:i]) if good else None for i, good in enumerate(usable)]
    _require(table["row"].to_list() == rows, "its row numbers do not count the usable clips")
    if commit:
        clips, faces = commit.rows["clips"], commit.rows["faces"]
        agree = (len(table), sum(usable)) == (clips, faces)
        found = f"{len(table)} clips, {sum(usable)} usable"
        _require(agree, f"{found}, but {clips} and {faces} in its commit")
    return table


def read_landmarks(
    path: Path, results: pl.DataFrame | None, commit: Commit | None, info: CacheInfo | None
) -> pl.DataFrame:
    """Read and check a shard's landmark table: one row per usable clip and frame."""
    table = _read_table(path, landmarks_schema(info.keypoints.count if info else _stored_count(path)))
    if commit:
        expected = commit.rows["landmarks"]
        _require(len(table) == expected, f"{len(table)} rows, but {expected} in its commit")
    for name in ("box", "landmarks", "keypoints", "transform"):
        _require(not table[name].null_count(), f"{name} is missing in a row")
        _require(np.isfinite(table[name].to_numpy()).all(), f"{name} contains NaN or Inf")
    for name in ("time_s", "score"):
        _each(table, pl.col(name).is_null() | pl.col(name).is_finite(), f"its {name} is NaN or Inf")
    _each(table, pl.col("source_frame") >= 0, "its source_frame is negative")
    _each(
        table,
        pl.col("detector").is_null() == pl.col("score").is_null(),
        "its detector and score contradict each other",
    )
    scores = table["blendshapes"].drop_nulls()
    _require(not len(scores) or np.isfinite(scores.to_numpy()).all(), "blendshapes contains NaN or Inf")
    if info and len(table):
        selected = info.keypoints.select(table["landmarks"].to_numpy())
        far = np.abs(selected - table["keypoints"].to_numpy()).max((1, 2)) > TOLERANCE
        _each(table, ~pl.lit(pl.Series(far)), "its key-points do not match its landmarks")
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
    _require(found.equals(expected), "its rows are not the frames of its shard's usable clips")
    faces = table.group_by("clip_id", maintain_order=True).agg(pl.col("detector").count().cast(pl.Int32))
    agree = faces["detector"].to_list() == usable["frames_with_face"].to_list()
    _require(agree, "its frames with a face do not match its shard's clip table")


def check_faces(
    path: Path, results: pl.DataFrame | None, landmarks: pl.DataFrame | None, info: CacheInfo | None
) -> None:
    """Check a face shard: one usable clip per batch, whose JPEGs and points match the other tables."""
    import pyarrow as pa

    reader = pa.ipc.open_file(pa.memory_map(str(path)))
    stored = {field.name: field for field in reader.schema}
    _require_columns([field.name for field in faces_schema() if stored.get(field.name) != field])
    usable = results.filter(pl.col("status") == OK) if results is not None else None
    if usable is not None:
        batches = reader.num_record_batches
        _require(batches == len(usable), f"{batches} clips, but its shard has {len(usable)} usable ones")
    start = 0
    for row in range(reader.num_record_batches):
        batch = reader.get_batch(row)
        batch.validate(full=True)
        _require(batch.num_rows == 1, f"batch {row} is not one clip")
        clip = {name: batch.column(name)[0] for name in faces_schema().names}
        clip_id = clip["clip_id"].as_py()
        frames = len(clip["crops"])
        if usable is not None:
            same = (usable["clip_id"][row], usable["frames"][row]) == (clip_id, frames)
            _require(same, f"batch {row} is not clip {usable['clip_id'][row]!r} with its frames")
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
        _require(height == width == size, f"a crop has {width}×{height} pixels, not {size}×{size}")
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
        _require(agree, f"its numbers of crops, {one}s and detections differ")
        _require(np.isfinite(points[name]).all(), f"a {one} is NaN or Inf")
    if landmarks is None:
        return
    faces = landmarks["detector"].is_not_null().to_list()
    _require(detected == faces, "its detections do not match the landmark table")
    transform = landmarks["transform"].to_numpy().astype(np.float64)
    for name, one in names.items():
        moved = np.einsum("tij,tkj->tki", transform[..., :2], landmarks[name].to_numpy())
        moved += transform[:, None, :, 2]
        far = np.abs(moved - points[name].reshape(moved.shape)).max()
        _require(far <= TOLERANCE, f"a {one} is {far:.3g} px from where the transform puts it")


def check_clips(
    path: Path,
    info: CacheInfo | None,
    commits: Mapping[int, Commit | None],
    results: Mapping[int, pl.DataFrame | None],
) -> None:
    """Check `clips.parquet` against the labels, the commits and the shards' clip tables."""
    clips = _read_table(path, CLIPS_SCHEMA)
    _check_ids(clips)
    _require(clips["shard"].to_list() == sorted(clips["shard"].to_list()), "its clips are not in shard order")
    shards = set(clips["shard"]) == set(commits)
    _require(shards, f"its shard list does not match the {len(commits)} commits")
    inside = pl.col("path").map_elements(_is_inside, return_dtype=pl.Boolean)
    _each(clips, inside, "its path leads out of the dataset's folder")
    if info:
        known = pl.col("label").is_null() | pl.col("label").is_in(info.labels)
        _each(clips, known, "its label is not in cache.json")
        _each(clips, votes_fit(len(info.labels)), "its votes do not fit the labels in cache.json")
        sizes = clips.group_by("shard", maintain_order=True).len()["len"].to_list()
        limit = info.settings["shard_clips"]
        _require(set(sizes[:-1]) <= {limit} and sizes[-1] <= limit, f"a shard does not have {limit} clips")
    for (index,), part in clips.group_by("shard", maintain_order=True):
        table = results[index]
        if table is not None:
            same = part.select(RESULTS_SCHEMA.names()).equals(table.select(RESULTS_SCHEMA.names()))
            _require(same, f"it does not match the clip table of shard {index}")


def check_manifest(
    path: Path, clips_path: Path, info: CacheInfo, commits: Mapping[int, Commit | None]
) -> None:
    """Check the manifest against `clips.parquet`, which is valid, and the commits."""
    manifest, clips = _read_table(path, MANIFEST_SCHEMA), pl.read_parquet(clips_path, glob=False)
    shared = [name for name in MANIFEST_SCHEMA.names() if name in clips.columns]
    _require(manifest.select(shared).equals(clips.select(shared)), "it does not match clips.parquet")
    _each(manifest, pl.col("kind").is_in(KINDS), "unknown kind")
    for shard in plan_shards(manifest, info.settings["shard_clips"]):
        commit = commits.get(shard.index)
        if commit is not None:
            made = commit.clip_list_hash == shard.clip_list_hash
            _require(made, f"shard {shard.index} was made from other clips")


def _is_inside(path: str) -> bool:
    return not PurePosixPath(path).is_absolute() and ".." not in PurePosixPath(path).parts


def _read_table(path: Path, schema: pl.Schema) -> pl.DataFrame:
    """Read a Parquet table that must have a schema's columns and may have more."""
    table = pl.read_parquet(path, glob=False)
    _require_columns([name for name, kind in schema.items() if table.schema.get(name) != kind])
    return table


def _require_columns(wrong: list[str]) -> None:
    _require(not wrong, f"missing or wrong columns: {', '.join(wrong)}")


def _check_ids(table: pl.DataFrame) -> None:
    ids = table["clip_id"]
    _require(not ids.null_count() and ids.n_unique() == len(ids), "a clip is listed twice or has no id")


def _each(table: pl.DataFrame, valid: pl.Expr, problem: str) -> None:
    """Require something of every row; null counts as false."""
    bad = table.filter(~valid.fill_null(False))
    if len(bad):
        raise WrongContentError(f"clip {bad['clip_id'][0]!r}: {problem}")


def _require(valid: bool, problem: str) -> None:
    if not valid:
        raise WrongContentError(problem)
