"""The folder of a cache: made or recognised, its tables written, its shards joined, sealed when finished.

`run` decides what goes into a cache, `shard_files` writes the shards.
"""

import dataclasses
import io
import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import polars as pl

from dfer.data_manifest.datasets import Manifest
from dfer.pipeline.cache import plan, seal, shard_files
from dfer.pipeline.config import ADDED
from dfer.schemas import cache as layout
from dfer.schemas.cache import CacheInfo
from dfer.schemas.manifest import MANIFEST_SCHEMA
from dfer.schemas.read_cache import read_cache_info
from dfer.schemas.support import files
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.files import file_sha256, remove_durably, temporary_name, write_atomic
from dfer.schemas.support.settings import flag

RESULTS = (*layout.RESULTS_SCHEMA, layout.PERSON)


def writing(cache: Path) -> AbstractContextManager[None]:
    """Turn an OSError while the cache is written into a UserError with advice."""
    again = "run the same command again; finished shards are kept"
    return files.writing(f"the cache {cache}", "another folder", again)


def prepare_cache(cache: Path, info: CacheInfo, clips: pl.DataFrame) -> None:
    """Make the cache's folders, `cache.json` and `manifest.parquet`, or check those that exist.

    info: what `cache.json` has to say
    clips: the manifest's table

    Raises UserError if the cache was made with other settings or clips, if the folder has other content, or if it
    cannot be written.
    """
    found = _check_existing(cache, info, clips)
    if found is None and cache.exists() and not _is_empty(cache):
        raise not_a_cache(cache)
    try:
        with writing(cache):
            for folder in _folders(cache):
                folder.mkdir(parents=True, exist_ok=True)
            if found is None or found != _keep_versions(info, found):
                seal.remove_seal(cache)
                write_atomic(cache / layout.INFO_FILE, _keep_versions(info, found).to_json())
            _write_table(cache, layout.MANIFEST_FILE, clips)
    except BaseException:
        abandon_cache(cache)
        raise


def abandon_cache(cache: Path) -> None:
    """Empty a cache that `prepare_cache` made and no shard was written to: another extraction may use the folder."""
    made = {cache / layout.INFO_FILE, cache / layout.MANIFEST_FILE}
    made |= {temporary_name(path) for path in made}
    found = {path for path in cache.rglob("*") if not path.is_dir()}
    if found <= made:
        with suppress(OSError):  # what made the extraction fail is the better message
            for path in found:
                path.unlink()
            for folder in _folders(cache):
                folder.rmdir()


def is_prepared(cache: Path, info: CacheInfo, clips: pl.DataFrame) -> bool:
    """Tell whether `prepare_cache` would have nothing to write. Raises UserError as `prepare_cache` does."""
    found = _check_existing(cache, info, clips)
    return (
        found is not None
        and found == _keep_versions(info, found)
        and all(folder.is_dir() for folder in _folders(cache))
        and _has_content(cache / layout.MANIFEST_FILE, _encode_table(clips))
    )


def read_plan(cache: Path) -> tuple[CacheInfo, Manifest]:
    """Read what a cache is made from, whether it is finished or not. Raises UserError if that is damaged."""
    info = read_cache_info(cache)
    path = cache / layout.MANIFEST_FILE
    try:
        clips = pl.read_parquet(path, glob=False)
        clips = clips.select(MANIFEST_SCHEMA.names()).cast(MANIFEST_SCHEMA)
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = type(error).__name__
        raise UserError(f"{path} is missing or damaged ({reason}); run `pipeline extract` again") from None
    return info, Manifest(dataset=info.dataset, labels=info.labels, clips=clips)


def read_results(cache: Path, index: int) -> pl.DataFrame:
    """Read the clip table of a committed shard (RESULTS_SCHEMA). Raises UserError if it is damaged."""
    path = cache / layout.SHARD_FILES["clips"].format(index)
    commit = cache / layout.COMMIT_FILE.format(index)
    try:
        committed = json.loads(commit.read_bytes())["files"][str(path.relative_to(cache))]
        if file_sha256(path) != committed["sha256"]:
            raise ValueError
        table = pl.read_parquet(path, glob=False)
        return table.select(name for name in table.columns if name in RESULTS)
    except (OSError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError):
        raise UserError(
            f"{path} is damaged; remove {commit} and run again to extract this shard again"
        ) from None


def finish_cache(cache: Path, manifest: Manifest, planned: Sequence[plan.Shard]) -> pl.DataFrame:
    """Join the shards' clip tables with the manifest into `clips.parquet` and seal the cache.

    Files left by a killed run or a longer manifest are removed. A finished cache stays untouched.
    Returns the clips table. Raises UserError if a shard's table is damaged or the cache cannot be written.
    """
    results = pl.concat([read_results(cache, shard.index) for shard in planned])
    if layout.PERSON in results.columns:  # each clip's row is followed by those of its further people
        clips = results.join(manifest.clips, on="clip_id", how="left", maintain_order="left")
        clips = clips.with_columns(pl.col("path").forward_fill())
        clips = clips.select(*layout.CLIPS_SCHEMA, layout.PERSON)
    else:
        clips = manifest.clips.join(results, on="clip_id", how="left", maintain_order="left")
        clips = clips.select(layout.CLIPS_SCHEMA.names())
    with writing(cache):
        leftovers = shard_files.leftovers(cache, len(planned))
        if leftovers:
            seal.remove_seal(cache)
            for path in leftovers:
                remove_durably(path)
        _write_table(cache, layout.CLIPS_FILE, clips)
        if seal.read_seal(cache) is None:
            seal.write_seal(cache, len(planned))
    return clips


def not_a_cache(cache: Path) -> UserError:
    return UserError(f"{cache} exists and is not a landmark cache; choose another folder")


def _write_table(cache: Path, name: str, table: pl.DataFrame) -> None:
    """Write one of the cache's tables and remove the seal, unless the file has this content already."""
    content, target = _encode_table(table), cache / name
    if not _has_content(target, content):
        seal.remove_seal(cache)
        write_atomic(target, content)


def _encode_table(table: pl.DataFrame) -> bytes:
    content = io.BytesIO()
    table.write_parquet(content)
    return content.getvalue()


def _has_content(path: Path, content: bytes) -> bool:
    return path.exists() and path.read_bytes() == content


def _check_existing(cache: Path, info: CacheInfo, clips: pl.DataFrame) -> CacheInfo | None:
    """Read the `cache.json` of an existing cache; None if there is none.

    Raises UserError if it was made with other settings or from other clips.
    """
    if not (cache / layout.INFO_FILE).exists():
        return None
    found = read_cache_info(cache)
    if found.keypoint_set != info.keypoint_set:
        raise UserError(
            f"{cache} was made with key-point set {found.keypoint_set}, not {info.keypoint_set}; "
            "choose another folder"
        )
    if found.settings_hash != info.settings_hash:
        raise UserError(f"{cache} was made with {_difference(found, info)}; choose another folder")
    if (cache / layout.MANIFEST_FILE).exists():
        _refuse_other_clips(cache, clips)
    return found


def _keep_versions(info: CacheInfo, found: CacheInfo | None) -> CacheInfo:
    """Keep the library versions that the cache was started with."""
    return info if found is None else dataclasses.replace(info, versions=found.versions)


def _refuse_other_clips(cache: Path, clips: pl.DataFrame) -> None:
    """Refuse a cache that has none of these clips: it belongs to another dataset, not to an earlier state of it."""
    _, manifest = read_plan(cache)
    if len(manifest.clips) and not manifest.clips["clip_id"].is_in(clips["clip_id"].implode()).any():
        before, now = manifest.clips["clip_id"].first(), clips["clip_id"].first()
        # Both ids, because one clip from elsewhere in a table changes the start of every id.
        raise UserError(
            f"{cache} was made from other clips: it starts with {before}, the current dataset with {now}; "
            "choose another folder"
        )


def _is_empty(cache: Path) -> bool:
    """Tell whether a folder is empty but for what a run leaves that was killed before it wrote `cache.json`."""
    folders = _folders(cache)
    unfinished = temporary_name(cache / layout.INFO_FILE)
    return cache.is_dir() and all(
        path == unfinished or (path in folders and path.is_dir() and not any(path.iterdir()))
        for path in cache.iterdir()
    )


def _folders(cache: Path) -> set[Path]:
    return {(cache / name).parent for name in (*layout.SHARD_FILES.values(), layout.COMMIT_FILE)}


def _difference(found: CacheInfo, asked: CacheInfo) -> str:
    """The settings in which two caches differ, as flags."""
    before, now = ADDED | dict(found.settings), ADDED | dict(asked.settings)
    names = [name for name in now if before.get(name) != now[name]]
    if not names:
        return "other model files"
    if missing := [name for name in names if name not in before]:
        return f"an earlier version, which had no {', '.join(map(flag, missing))}"
    return f"{_as_flags(before, names)}, this command asks for {_as_flags(now, names)}"


def _as_flags(settings: Mapping[str, Any], names: Sequence[str]) -> str:
    flags = []
    for name in names:
        value = settings.get(name)
        if value is None:  # the version that made the cache did not have it
            flags.append(f"no {flag(name)}")
        elif isinstance(value, bool):
            flags.append(flag(name) if value else flag(f"no_{name}"))
        else:
            flags.append(f"{flag(name)} {value}")
    return " ".join(flags)
