"""The landmark cache on disk: file names, columns, statuses, `cache.json`.

cache.json               what made the cache: dataset, labels, settings, versions, model files
manifest.parquet         the dataset as it was read: one row per clip, paths relative to its folder
clips.parquet            one row per clip of the manifest, usable or not
clips/00000.parquet      what was found out about the clips of one shard
faces/00000.arrow        one record batch per usable clip: JPEG crops and key-points in crop pixels
landmarks/00000.parquet  one row per usable clip and frame, in source pixels
commits/00000.json       written after its shard; a shard without a valid commit does not exist
seal.json                written last of all; a cache without it is unfinished
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import polars as pl

from dfer.schemas.manifest import with_added_columns
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.files import temporary_name

FORMAT_VERSION = 1

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
SINGLE_FILES = (INFO_FILE, MANIFEST_FILE, CLIPS_FILE)  # beside the commits, what the seal vouches for
SEAL_FILE = "seal.json"  # sha256 of the single files, of all commits, and of itself

# What an extraction finds out about a clip; the columns of a shard's own clip table.
RESULTS_SCHEMA = pl.Schema(
    {
        "clip_id": pl.String,
        "status": pl.String,  # one of STATUSES
        "reason": pl.String,  # null when ok
        "frames": pl.Int32,  # kept in the cache
        "frames_with_face": pl.Int32,
        "source_frames": pl.Int32,
        "fps": pl.Float64,  # null for frame folders
        "duration_s": pl.Float64,
        "width": pl.Int32,
        "height": pl.Int32,
        "source_warning": pl.String,
        "fingerprint": pl.String,  # sha256 of the file, or of a frame folder's names and bytes
        "shard": pl.Int32,
        "row": pl.Int32,  # record batch in the face shard; null unless ok
    }
)

# The same beside what the manifest says, which may change without a clip being decoded again.
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
        "test_folds": pl.List(pl.Int32),
        "train_folds": pl.List(pl.Int32),
        **{name: kind for name, kind in RESULTS_SCHEMA.items() if name != "clip_id"},
    }
)

LANDMARKS_SCHEMA = pl.Schema(
    {
        "clip_id": pl.String,
        "frame": pl.Int32,  # 0…frames−1
        "source_frame": pl.Int32,
        "time_s": pl.Float64,  # from the first frame; null for frame folders
        "detector": pl.String,  # null where no face was found and the box is carried over
        "score": pl.Float32,  # the detector's own scale
        "box": pl.Array(pl.Float32, 4),  # x0, y0, x1, y1 in source pixels
        "landmarks": pl.Array(pl.Float32, (68, 2)),  # source pixels
        "keypoints": pl.Array(pl.Float32, (18, 2)),  # source pixels
        "transform": pl.Array(pl.Float32, (2, 3)),  # source pixels to crop pixels
        "blendshapes": pl.Array(pl.Float32, 52),  # null unless asked for
    }
)


def faces_schema() -> Any:
    """The Arrow schema of a face shard; one record batch of one row a clip, m frames."""
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("clip_id", pa.string(), nullable=False),
            pa.field("crops", pa.list_(pa.binary()), nullable=False),  # m JPEGs
            pa.field("keypoints", pa.list_(pa.float32()), nullable=False),  # m × 18 × 2, crop pixels
            pa.field("detected", pa.list_(pa.bool_()), nullable=False),  # m; false: the box is carried over
            pa.field("blendshapes", pa.list_(pa.float32())),  # m × 52, NaN: no face seen; null: not asked for
        ]
    )


@dataclass(frozen=True, kw_only=True)
class CacheInfo:
    """What `cache.json` says. Nothing in it depends on the machine, the time or the number of workers.

    settings_hash: of all that decides the cache's bytes; landmark_hash: of what decides boxes and landmarks, so
    that another cache with the same one can take them over.
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

    def to_json(self) -> bytes:
        return (json.dumps(asdict(self), indent=2, sort_keys=True) + "\n").encode()


INFO_TYPES = {
    "dataset": str,
    "labels": list,
    "keypoint_set": str,
    "settings": dict,
    "settings_hash": str,
    "landmark_hash": str,
    "versions": dict,
    "models": dict,
}


def shard_of(name: str) -> int | None:
    """The shard to which a file of a cache (relative to it) belongs by its name; None where to none."""
    digits = PurePosixPath(name).name.split(".")[0]
    if not digits.isdecimal():
        return None
    index = int(digits)
    names = [form.format(index) for form in (COMMIT_FILE, *SHARD_FILES.values())]
    return index if name in names else None


def is_unfinished_file(name: str) -> bool:
    """Whether a file (relative to a cache) may be there while an extraction is not finished."""
    path = PurePosixPath(name)
    whole = str(path.with_name(path.name.removeprefix(".").removesuffix(".tmp")))
    known = shard_of(whole) is not None or whole in (*SINGLE_FILES, SEAL_FILE)
    return known and Path(name) in (Path(whole), temporary_name(Path(whole)))


def require_cache(cache: Path) -> None:
    """Raises UserError where a folder is no cache."""
    if not cache.is_dir():
        raise UserError(
            f"no such cache folder: {cache} (make it with `pipeline extract SOURCE --out {cache}`)"
        )
    if not (cache / INFO_FILE).is_file():
        raise UserError(f"{cache} is not a landmark cache: it has no {INFO_FILE}")


def refuse_inside_cache(out: Path) -> None:
    """Raise UserError where a folder that is to be written is a cache or lies in one, where nothing else belongs."""
    whole = out.resolve()
    for folder in (whole, *whole.parents):
        if (folder / INFO_FILE).is_file():
            what = "is a cache" if folder == whole else f"lies in the cache {folder}"
            raise UserError(f"{out} {what}; give another --out")


def require_faces(cache: Path) -> None:
    """Raises UserError where a folder is what `pipeline share` wrote, which looks like a cache that lost its faces.

    An extraction makes all its folders before anything else, so that an unfinished one is not mistaken for it.
    """
    tables = (CLIPS_FILE, Path(SHARD_FILES["landmarks"]).parent)
    vouched = (Path(SHARD_FILES["faces"]).parent, Path(COMMIT_FILE).parent)
    if all((cache / name).exists() for name in tables) and not any(
        (cache / name).exists() for name in vouched
    ):
        raise UserError(
            f"{cache} holds tables only, without faces (pipeline share); "
            f"make crops with `pipeline extract SOURCE --out CACHE --reuse {cache}`"
        )


def read_cache_info(cache: Path) -> CacheInfo:
    """Read and check `cache.json`.

    Raises UserError where the folder is no cache, or one of another format version.
    """
    path = cache / INFO_FILE
    require_cache(cache)
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        raise UserError(f"{path} is damaged: it is not JSON; make the cache again") from None
    version = content.get("format_version") if isinstance(content, dict) else None
    if not isinstance(version, int):
        raise UserError(f"{path} is damaged: it names no format_version; make the cache again")
    if version != FORMAT_VERSION:
        advice = "update dfer-keypoints" if version > FORMAT_VERSION else "make the cache again"
        raise UserError(f"{cache} has cache format {version}, this program reads {FORMAT_VERSION}: {advice}")
    try:
        info = CacheInfo(**{**content, "labels": tuple(content["labels"])})
    except (TypeError, KeyError):
        raise UserError(f"{path} is damaged: fields are missing or unknown; make the cache again") from None
    wrong = [name for name, kind in INFO_TYPES.items() if not isinstance(content[name], kind)]
    if wrong or not all(isinstance(label, str) for label in info.labels):
        named = ", ".join(wrong or ["labels"])
        raise UserError(f"{path} is damaged: wrong kind of value in {named}; make the cache again")
    return info


def read_clips(cache: Path) -> pl.DataFrame:
    """Read the clips table (CLIPS_SCHEMA); columns that an earlier version did not write are null.

    Raises UserError where it is missing (an unfinished extraction) or does not have the columns.
    """
    path = cache / CLIPS_FILE
    if not path.exists():
        raise UserError(f"{cache} is not finished: it has no {CLIPS_FILE}; run its `pipeline extract` again")
    try:
        clips = with_added_columns(pl.read_parquet(path, glob=False))
    except pl.exceptions.PolarsError as error:
        raise UserError(
            f"{path} is damaged ({str(error).splitlines()[0]}); run `pipeline extract` again"
        ) from None
    wrong = [name for name, kind in CLIPS_SCHEMA.items() if clips.schema.get(name) != kind]
    if wrong:
        raise UserError(f"{path} has missing or wrong columns: {', '.join(wrong)}; make the cache again")
    return clips
