"""Read what a cache says of itself, and check it: a cache may come from anybody."""

import json
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from dfer.schemas.cache import (
    CLIPS_FILE,
    CLIPS_SCHEMA,
    COMMIT_FILE,
    FORMAT_VERSION,
    INFO_FILE,
    OK,
    PERSON,
    PERSON_SCHEMA,
    SHARD_FILES,
    CacheInfo,
    landmarks_schema,
)
from dfer.schemas.keypoints import KEYPOINT_SETS
from dfer.schemas.support.errors import UserError

MAX_CROP_SIZE = 4096  # pixels; a larger number in a damaged file would fill the memory
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


class CacheFormatError(UserError):
    """A cache of another format version: not damaged, but this program cannot read it."""


def require_cache(cache: Path) -> None:
    """Raise UserError if a folder is not a cache."""
    if not cache.is_dir():
        raise UserError(f"no such cache: {cache}; make it with `pipeline extract SOURCE --out {cache}`")
    if not (cache / INFO_FILE).is_file():
        raise UserError(f"{cache} is not a landmark cache: it has no {INFO_FILE}")


def refuse_inside_cache(out: Path) -> None:
    """Raise UserError if a folder to write is a cache or inside one."""
    target = out.resolve()
    for folder in (target, *target.parents):
        if (folder / INFO_FILE).is_file():
            problem = "is a cache" if folder == target else f"is inside the cache {folder}"
            raise UserError(f"{out} {problem}; choose another --out")


def require_faces(cache: Path) -> None:
    """Raise UserError if a folder is what `pipeline share` writes: tables without faces.

    An unfinished extraction is not mistaken for it: it makes all its folders first.
    """
    tables = (CLIPS_FILE, Path(SHARD_FILES["landmarks"]).parent)
    extracted = (Path(SHARD_FILES["faces"]).parent, Path(COMMIT_FILE).parent)
    if all((cache / name).exists() for name in tables) and not any(
        (cache / name).exists() for name in extracted
    ):
        raise UserError(
            f"{cache} has landmark tables but no faces (it comes from `pipeline share`); "
            f"make the crops with `pipeline extract SOURCE --out CACHE --reuse {cache}`"
        )


def read_cache_info(cache: Path) -> CacheInfo:
    """Read and check `cache.json`.

    Raises UserError if the folder is not a cache or has another format version, or if a value is missing or invalid.
    """
    require_cache(cache)
    path = cache / INFO_FILE
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        raise UserError(f"{path} is damaged: not JSON; extract again") from None
    version = content.get("format_version") if isinstance(content, dict) else None
    if not isinstance(version, int):
        raise UserError(f"{path} is damaged: format_version is missing; extract again")
    if version != FORMAT_VERSION:
        advice = "update dfer-keypoints" if version > FORMAT_VERSION else "extract again"
        raise CacheFormatError(
            f"{cache} has cache format {version}, this program reads {FORMAT_VERSION}; {advice}"
        )
    try:
        info = CacheInfo(**{**content, "labels": tuple(content["labels"])})
    except (TypeError, KeyError):
        raise UserError(f"{path} is damaged: fields are missing or unknown; extract again") from None
    wrong = [name for name, kind in INFO_TYPES.items() if not isinstance(content[name], kind)]
    if wrong or not all(isinstance(label, str) for label in info.labels):
        raise UserError(f"{path} is damaged: wrong type of {', '.join(wrong or ['labels'])}; extract again")
    _check_values(path, info)
    return info


def _check_values(path: Path, info: CacheInfo) -> None:
    if info.keypoint_set not in KEYPOINT_SETS:
        known = ", ".join(KEYPOINT_SETS)
        raise UserError(f"{path}: unknown key-point set {info.keypoint_set!r}; this program has {known}")
    size = info.settings.get("size")
    if not isinstance(size, int) or not 1 <= size <= MAX_CROP_SIZE:
        raise UserError(f"{path}: invalid crop size; extract again")
    if len(set(info.labels)) < len(info.labels):
        raise UserError(f"{path}: a label is listed twice; extract again")


def read_clips(cache: Path, *, people: bool = False) -> pl.DataFrame:
    """Read and check the clips table (CLIPS_SCHEMA).

    people: with the column `person`, and the rows of further people in a clip, if several were followed

    Raises UserError if it is missing (the extraction is unfinished) or damaged.
    """
    path = cache / CLIPS_FILE
    if not path.exists():
        raise UserError(f"{cache} is not finished: it has no {CLIPS_FILE}; run its `pipeline extract` again")
    try:
        clips = pl.read_parquet(path, glob=False)
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path} is damaged ({reason}); run `pipeline extract` again") from None
    if PERSON not in clips.columns:
        clips = clips.with_columns(pl.lit(1, pl.Int32).alias(PERSON))
    schema = {**CLIPS_SCHEMA, **PERSON_SCHEMA}
    wrong = [name for name, kind in schema.items() if clips.schema.get(name) != kind]
    if wrong:
        raise UserError(f"{path}: missing or wrong columns: {', '.join(wrong)}; extract again")
    if clips["clip_id"].null_count() or clips["clip_id"].is_duplicated().any():
        raise UserError(f"{path}: a clip is listed twice or has no id; extract again")
    if clips.filter(status=OK).select("shard", "row").null_count().sum_horizontal().sum():
        raise UserError(f"{path}: a usable clip has no shard or row; extract again")
    return clips if people else clips.filter(pl.col(PERSON) == 1).drop(PERSON)


def read_landmarks(
    cache: Path, shard: int, columns: Sequence[str], *, advice: str = "extract this cache again"
) -> pl.DataFrame:
    """Read columns of a shard's landmark table, a row a frame of a clip.

    columns: all but `keypoints` are checked to have the type of LANDMARKS_SCHEMA
    advice: what to do if the table cannot be used

    Raises UserError if the table is missing or damaged.
    """
    path = cache / SHARD_FILES["landmarks"].format(shard)
    try:
        table = pl.read_parquet(path, columns=list(columns), glob=False)
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        reason = str(error).split("\n")[0]
        raise UserError(f"{path} is missing or damaged ({reason}); {advice}") from None
    expected = landmarks_schema(keypoints=0)
    wrong = [name for name in columns if name != "keypoints" and table.schema[name] != expected[name]]
    if wrong:
        raise UserError(f"{path}: wrong columns: {', '.join(wrong)}; {advice}")
    return table
