"""The landmark cache on disk: file names, columns, statuses, `cache.json`.

cache.json               what made the cache: dataset, labels, settings, versions, model files
manifest.parquet         the dataset as read: one row per clip, paths relative to its folder
clips.parquet            one row per clip of the manifest, usable or not; more if several people were followed
clips/00000.parquet      results for the clips of one shard
faces/00000.arrow        one record batch per usable clip: JPEG crops, landmarks and key-points in crop pixels
landmarks/00000.parquet  one row per usable clip and frame, in square pixels of the picture as shown
commits/00000.json       written after its shard; a shard without a valid commit does not exist
seal.json                written last of all; a cache without it is unfinished
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import polars as pl

from dfer.schemas.keypoints import KEYPOINT_SETS, KeypointSet
from dfer.schemas.support.files import temporary_name

FORMAT_VERSION = 2

OK = "ok"
NO_FACE = "no_face"
UNDECODABLE = "undecodable"
QUARANTINED = "quarantined"
STATUSES = (OK, NO_FACE, UNDECODABLE, QUARANTINED)

INFO_FILE = "cache.json"
CLIPS_FILE = "clips.parquet"
MANIFEST_FILE = "manifest.parquet"
SHARD_FILES = {
    "clips": "clips/{:05d}.parquet",
    "faces": "faces/{:05d}.arrow",
    "landmarks": "landmarks/{:05d}.parquet",
}
COMMIT_FILE = "commits/{:05d}.json"
SINGLE_FILES = (INFO_FILE, MANIFEST_FILE, CLIPS_FILE)  # checked by the seal, together with the commits
SEAL_FILE = "seal.json"  # sha256 of the single files, of all commits, and of itself

# What an extraction finds out about a clip: the columns of clips/00000.parquet.
RESULTS_SCHEMA = pl.Schema(
    {
        "clip_id": pl.String,
        "status": pl.String,  # one of STATUSES
        "reason": pl.String,  # null when ok
        "frames": pl.Int32,  # kept in the cache
        "frames_with_face": pl.Int32,
        "source_frames": pl.Int32,
        "fps": pl.Float64,  # null for frame folders and stills
        "duration_s": pl.Float64,
        "width": pl.Int32,  # of the picture as players show it: upright, with square pixels
        "height": pl.Int32,
        "source_warning": pl.String,
        "fingerprint": pl.String,  # sha256 of the file, of a frame folder's names and bytes, or of a row's pixels
        "shard": pl.Int32,
        "row": pl.Int32,  # record batch in the face shard; null unless ok
    }
)

# In both tables of clips, if several people were followed: 1 in a clip's own row; 2, 3, … in those of further people,
# which come next. They have the ids of `person_id` and the clip's path; all else of the manifest is null.
PERSON = "person"
PERSON_SCHEMA = pl.Schema({PERSON: pl.Int32})

# The same plus the manifest's columns, which may change without decoding a clip again.
CLIPS_SCHEMA = pl.Schema(
    {
        "clip_id": pl.String,
        "path": pl.String,  # relative to the dataset's folder
        "label": pl.String,
        "split": pl.String,
        "fold": pl.Int32,
        "subject": pl.String,
        "scene": pl.String,
        "scene_group": pl.String,
        "intensity": pl.String,
        "votes": pl.List(pl.Float64),  # one number per label of the cache; null without votes
        "test_folds": pl.List(pl.Int32),
        "train_folds": pl.List(pl.Int32),
        **{name: kind for name, kind in RESULTS_SCHEMA.items() if name != "clip_id"},
    }
)


def person_id(clip_id: str, person: int) -> str:
    """The id of a person in a clip; that of the first is the clip's."""
    return clip_id if person == 1 else f"{clip_id}#{person}"


def landmarks_schema(keypoints: int) -> pl.Schema:
    """The columns of a landmark table with this many key-points."""
    return pl.Schema(
        {
            "clip_id": pl.String,
            "frame": pl.Int32,  # 0…frames−1
            "source_frame": pl.Int32,
            "time_s": pl.Float64,  # from the first frame; null for frame folders
            "detector": pl.String,  # null: no face found, the box is carried over
            "score": pl.Float32,  # the detector's own scale
            "box": pl.Array(pl.Float32, 4),  # x0, y0, x1, y1 in source pixels
            "landmarks": pl.Array(pl.Float32, (68, 2)),  # source pixels
            "keypoints": pl.Array(pl.Float32, (keypoints, 2)),  # source pixels
            "transform": pl.Array(pl.Float32, (2, 3)),  # source pixels to crop pixels
            "blendshapes": pl.Array(pl.Float32, 52),  # null unless asked for
        }
    )


def faces_schema() -> Any:
    """The Arrow schema of a face shard: one record batch of one row per clip, m frames."""
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("clip_id", pa.string(), nullable=False),
            pa.field("crops", pa.list_(pa.binary()), nullable=False),  # m JPEGs
            pa.field("landmarks", pa.list_(pa.float32()), nullable=False),  # m × 68 × 2, crop pixels
            pa.field("keypoints", pa.list_(pa.float32()), nullable=False),  # m × K × 2, crop pixels
            pa.field("detected", pa.list_(pa.bool_()), nullable=False),  # m; false: the box is carried over
            pa.field(
                "blendshapes", pa.list_(pa.float32())
            ),  # m × 52, NaN: no face found; null: not requested
        ]
    )


@dataclass(frozen=True, kw_only=True)
class CacheInfo:
    """The content of `cache.json`. It does not depend on the machine, the time or the number of workers.

    settings_hash: of everything that decides the cache's bytes
    landmark_hash: of what decides boxes and landmarks; caches that share it can reuse each other's landmarks
    """

    dataset: str
    labels: tuple[str, ...]
    keypoint_set: str
    settings: Mapping[str, Any]
    settings_hash: str
    landmark_hash: str
    versions: Mapping[str, str]
    models: Mapping[str, str]
    format_version: int = FORMAT_VERSION

    @property
    def keypoints(self) -> KeypointSet:
        """The key-point set that the cache was made with."""
        return KEYPOINT_SETS[self.keypoint_set]

    @property
    def several_people(self) -> bool:
        """Whether its tables of clips may have several rows for a clip, and say which person each is."""
        return "people" in self.settings

    @property
    def results_schema(self) -> pl.Schema:
        """The columns of a shard's clip table."""
        return pl.Schema({**RESULTS_SCHEMA, **(PERSON_SCHEMA if self.several_people else {})})

    @property
    def clips_schema(self) -> pl.Schema:
        """The columns of the clips table."""
        return pl.Schema({**CLIPS_SCHEMA, **(PERSON_SCHEMA if self.several_people else {})})

    @property
    def crop_size(self) -> int:
        """Side of the stored crops, pixels."""
        return self.settings["size"]

    def to_json(self) -> bytes:
        return (json.dumps(asdict(self), indent=2, sort_keys=True) + "\n").encode()


def shard_of(name: str) -> int | None:
    """Return the index of the shard that a file belongs to, or None. name: path relative to the cache."""
    digits = PurePosixPath(name).name.split(".")[0]
    if not digits.isdecimal():
        return None
    index = int(digits)
    names = [form.format(index) for form in (COMMIT_FILE, *SHARD_FILES.values())]
    return index if name in names else None


def is_unfinished_file(name: str) -> bool:
    """Whether an unfinished extraction may leave this file. name: path relative to the cache."""
    path = PurePosixPath(name)
    final = str(path.with_name(path.name.removeprefix(".").removesuffix(".tmp")))
    known = shard_of(final) is not None or final in (*SINGLE_FILES, SEAL_FILE)
    return known and Path(name) in (Path(final), temporary_name(Path(final)))
