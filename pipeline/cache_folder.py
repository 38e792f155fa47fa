"""The folder of a cache: made or recognised, its own tables written, its shards joined, sealed when finished.

Clips and models are nothing to it: `extract` says what is to be in the cache, `shards` writes the shards.
"""

import errno
import io
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from data_manifest.datasets import Manifest
from pipeline import plan, seal, shards
from schemas import cache as layout
from schemas.cache import CacheInfo
from schemas.errors import UserError
from schemas.files import file_sha256, remove_durably, temporary_name, write_atomic
from schemas.manifest import MANIFEST_SCHEMA


def prepare_cache(cache: Path, info: CacheInfo, clips: pl.DataFrame) -> None:
    """Make the cache's folders, `cache.json` and `manifest.parquet`, or check that an existing one was made alike.

    Raises UserError where it was not, where the folder holds something else, or cannot be written.
    """
    found = None
    if (cache / layout.INFO_FILE).exists():
        found = layout.read_cache_info(cache)
        if found.settings_hash != info.settings_hash:
            raise UserError(f"{cache} was made with {_difference(found, info)}; give another --out")
        info = CacheInfo(**{**vars(info), "versions": found.versions})
        if (cache / layout.MANIFEST_FILE).exists():
            _refuse_other_clips(cache, clips)
    elif cache.exists() and not _is_empty(cache):
        raise UserError(f"{cache} exists and is not a landmark cache; give another --out")
    with writing(cache):
        for name in (*layout.SHARD_FILES.values(), layout.COMMIT_FILE):
            (cache / name).parent.mkdir(parents=True, exist_ok=True)
        if found != info:
            seal.remove_seal(cache)
            write_atomic(cache / layout.INFO_FILE, info.to_json())
        _write_table(cache, layout.MANIFEST_FILE, clips)


def read_plan(cache: Path) -> tuple[CacheInfo, Manifest]:
    """What a cache, finished or not, is made of. Raises UserError where it is damaged."""
    info = layout.read_cache_info(cache)
    path = cache / layout.MANIFEST_FILE
    try:
        clips = pl.read_parquet(path, glob=False).select(MANIFEST_SCHEMA.names()).cast(MANIFEST_SCHEMA)
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


@contextmanager
def alone(cache: Path, *, among_slices: bool) -> Iterator[None]:
    """Keep a second extraction out of the cache, or let other slices, and only them, work beside this one.

    The lock is on the folder itself and goes with the process. Where the file system has no locks, there is none.
    Raises UserError where another extraction is at work.
    """
    import fcntl

    folder = os.open(cache, os.O_RDONLY)
    try:
        fcntl.flock(folder, (fcntl.LOCK_SH if among_slices else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(folder)
        raise UserError(
            f"{cache}: another extraction is at work on it; wait, or give another --out"
        ) from None
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL):
            raise
    try:
        yield
    finally:
        os.close(folder)


@contextmanager
def writing(cache: Path) -> Iterator[None]:
    """Say of a failure to write what it means for the cache. Raises UserError in place of OSError."""
    try:
        yield
    except OSError as error:
        advice = "give another --out"
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            advice = "make room and run the same command again, finished shards are kept"
        raise UserError(f"cannot write the cache {cache}: {error.strerror}; {advice}") from None


def _write_table(cache: Path, name: str, table: pl.DataFrame) -> None:
    """Write one of the cache's own tables, and break its seal, unless the file says so already."""
    content = io.BytesIO()
    table.write_parquet(content)
    target = cache / name
    if not target.exists() or target.read_bytes() != content.getvalue():
        seal.remove_seal(cache)
        write_atomic(target, content.getvalue())


def _refuse_other_clips(cache: Path, clips: pl.DataFrame) -> None:
    """A cache whose clips are all others than those asked for now is somebody's, not an older state of this one."""
    _, manifest = read_plan(cache)
    if len(manifest.clips) and not manifest.clips["clip_id"].is_in(clips["clip_id"].implode()).any():
        raise UserError(f"{cache} was made from other clips; give another --out")


def _is_empty(cache: Path) -> bool:
    """Whether a folder holds nothing, or only what a run leaves that was killed before its `cache.json`."""
    own = {(cache / name).parent for name in (*layout.SHARD_FILES.values(), layout.COMMIT_FILE)}
    begun = temporary_name(cache / layout.INFO_FILE)
    return cache.is_dir() and all(
        path == begun or (path in own and path.is_dir() and not any(path.iterdir()))
        for path in cache.iterdir()
    )


def _difference(found: CacheInfo, asked: CacheInfo) -> str:
    """The settings in which two caches differ, as the flags that would name them."""
    names = [name for name in asked.settings if found.settings.get(name) != asked.settings[name]]
    if not names:
        return "other model files"
    flags = (f"--{name.replace('_', '-')} {found.settings.get(name)}" for name in names)
    asks = (f"{asked.settings[name]}" for name in names)
    return f"{', '.join(flags)} (asked now: {', '.join(asks)})"
