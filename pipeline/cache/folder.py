"""The folder of a cache: made or recognised, its own tables written, its shards joined, sealed when finished.

Clips and models are nothing to it: `extract` says what is to be in the cache, `shards` writes the shards.
"""

import dataclasses
import io
import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import polars as pl

from dfer.data_manifest.datasets import Manifest
from dfer.pipeline.cache import plan, seal, shards
from dfer.schemas import cache as layout
from dfer.schemas.cache import CacheInfo
from dfer.schemas.manifest import MANIFEST_SCHEMA
from dfer.schemas.read_cache import read_cache_info
from dfer.schemas.support import files
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.files import file_sha256, remove_durably, temporary_name, write_atomic


def writing(cache: Path) -> AbstractContextManager[None]:
    """Turn an OSError while the cache is written into a UserError with advice."""
    return files.writing(f"the cache {cache}", "run the same command again; finished shards are kept")


def prepare_cache(cache: Path, info: CacheInfo, clips: pl.DataFrame) -> None:
    """Make the cache's folders, `cache.json` and `manifest.parquet`, or check that an existing one was made alike.

    Raises UserError where it was not, where the folder holds something else, or cannot be written.
    """
    found = _recognise(cache, info, clips)
    if found is None and cache.exists() and not _is_empty(cache):
        raise not_a_cache(cache)
    with writing(cache):
        for folder in _own_folders(cache):
            folder.mkdir(parents=True, exist_ok=True)
        if found is None or found != _keep_versions(info, found):
            seal.remove_seal(cache)
            write_atomic(cache / layout.INFO_FILE, _keep_versions(info, found).to_json())
        _write_table(cache, layout.MANIFEST_FILE, clips)


def is_prepared(cache: Path, info: CacheInfo, clips: pl.DataFrame) -> bool:
    """Whether `prepare_cache` would find nothing to write.

    Raises UserError where the cache was not made alike. What another process is just preparing is no fault.
    """
    found = _recognise(cache, info, clips)
    return (
        found is not None
        and found == _keep_versions(info, found)
        and all(folder.is_dir() for folder in _own_folders(cache))
        and _holds(cache / layout.MANIFEST_FILE, _encode_table(clips))
    )


def read_plan(cache: Path) -> tuple[CacheInfo, Manifest]:
    """What a cache, finished or not, is made of. Raises UserError where it is damaged."""
    info = read_cache_info(cache)
    path = cache / layout.MANIFEST_FILE
    try:
        clips = pl.read_parquet(path, glob=False)
        clips = clips.select(MANIFEST_SCHEMA.names()).cast(MANIFEST_SCHEMA)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UserError(
            f"{path} is missing or damaged ({type(error).__name__}); run `extract` again"
        ) from None
    return info, Manifest(dataset=info.dataset, labels=info.labels, clips=clips)


def read_results(cache: Path, index: int) -> pl.DataFrame:
    """What a committed shard says of its clips (RESULTS_SCHEMA). Raises UserError where that is damaged."""
    path = cache / layout.SHARD_FILES["clips"].format(index)
    commit = cache / layout.COMMIT_FILE.format(index)
    try:
        committed = json.loads(commit.read_bytes())["files"][str(path.relative_to(cache))]
        if file_sha256(path) != committed["sha256"]:
            raise ValueError
        return pl.read_parquet(path, glob=False).select(layout.RESULTS_SCHEMA.names())
    except (OSError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError):
        raise UserError(f"{path} is damaged; remove {commit} and run again to make this shard anew") from None


def finalize(cache: Path, manifest: Manifest, planned: Sequence[plan.Shard]) -> pl.DataFrame:
    """Join the shards' results with the manifest into `clips.parquet`, seal the cache, return that table.

    What a killed run or a longer manifest has left behind is removed. A finished cache is left as it is.
    Raises UserError where a shard's table is damaged or the cache cannot be written.
    """
    results = pl.concat([read_results(cache, shard.index) for shard in planned])
    clips = manifest.clips.join(results, on="clip_id", how="left", maintain_order="left")
    clips = clips.select(layout.CLIPS_SCHEMA.names())
    with writing(cache):
        leftovers = shards.leftovers(cache, len(planned))
        if leftovers:
            seal.remove_seal(cache)
            for path in leftovers:
                remove_durably(path)
        _write_table(cache, layout.CLIPS_FILE, clips)
        if seal.read_seal(cache) is None:
            seal.write_seal(cache, len(planned))
    return clips


def _write_table(cache: Path, name: str, table: pl.DataFrame) -> None:
    """Write one of the cache's own tables, and break its seal, unless the file says so already."""
    content, target = _encode_table(table), cache / name
    if not _holds(target, content):
        seal.remove_seal(cache)
        write_atomic(target, content)


def _encode_table(table: pl.DataFrame) -> bytes:
    content = io.BytesIO()
    table.write_parquet(content)
    return content.getvalue()


def _holds(path: Path, content: bytes) -> bool:
    return path.exists() and path.read_bytes() == content


def _recognise(cache: Path, info: CacheInfo, clips: pl.DataFrame) -> CacheInfo | None:
    """What the `cache.json` of a cache says that was made alike; None where there is none. Raises UserError."""
    if not (cache / layout.INFO_FILE).exists():
        return None
    found = read_cache_info(cache)
    if found.settings_hash != info.settings_hash:
        raise UserError(f"{cache} was made with {_difference(found, info)}; give another --out")
    if (cache / layout.MANIFEST_FILE).exists():
        _refuse_other_clips(cache, clips)
    return found


def _keep_versions(info: CacheInfo, found: CacheInfo | None) -> CacheInfo:
    """A cache names the versions that it was begun with."""
    return info if found is None else dataclasses.replace(info, versions=found.versions)


def _refuse_other_clips(cache: Path, clips: pl.DataFrame) -> None:
    """A cache whose clips are all others than those asked for now is somebody's, not an older state of this one."""
    _, manifest = read_plan(cache)
    if len(manifest.clips) and not manifest.clips["clip_id"].is_in(clips["clip_id"].implode()).any():
        before, now = manifest.clips["clip_id"].first(), clips["clip_id"].first()
        # A clip from elsewhere in a table moves the folder where all ids begin: the ids show it.
        raise UserError(
            f"{cache} was made from other clips; give another --out (its first is {before}, that of now {now})"
        )


def _is_empty(cache: Path) -> bool:
    """Whether a folder holds nothing, or only what a run leaves that was killed before its `cache.json`."""
    own = _own_folders(cache)
    begun = temporary_name(cache / layout.INFO_FILE)
    return cache.is_dir() and all(
        path == begun or (path in own and path.is_dir() and not any(path.iterdir()))
        for path in cache.iterdir()
    )


def _own_folders(cache: Path) -> set[Path]:
    return {(cache / name).parent for name in (*layout.SHARD_FILES.values(), layout.COMMIT_FILE)}


def not_a_cache(cache: Path) -> UserError:
    return UserError(f"{cache} exists and is not a landmark cache; give another --out")


def _difference(found: CacheInfo, asked: CacheInfo) -> str:
    """The settings in which two caches differ, as the flags that would name them."""
    names = [name for name in asked.settings if found.settings.get(name) != asked.settings[name]]
    if not names:
        return "other model files"
    flags = (f"--{name.replace('_', '-')} {found.settings.get(name)}" for name in names)
    asks = (f"{asked.settings[name]}" for name in names)
    return f"{', '.join(flags)} (asked now: {', '.join(asks)})"
