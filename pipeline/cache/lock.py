"""Who may write to a cache: one extraction alone, or several slices of one (`schemas.support.folder_lock`)."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import polars as pl

from dfer.pipeline.cache.folder import abandon_cache, is_prepared, not_a_cache, prepare_cache, writing
from dfer.schemas.cache import CacheInfo
from dfer.schemas.read_cache import require_cache
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.folder_lock import FolderLock

PREPARING_SECONDS = 60.0  # a slice waits this long for another one to prepare the cache, and then
PATIENCE_SECONDS = 5.0  # this long for it to share the lock
POLL_SECONDS = 0.05


@contextmanager
def extraction_lock(
    cache: Path, info: CacheInfo, clips: pl.DataFrame, *, among_slices: bool
) -> Iterator[None]:
    """Prepare a cache for an extraction, and lock every other one out until the block ends.

    A block that raises before a shard was written leaves the folder as it was before the cache: it is not bound to
    the settings of a run that came to nothing.

    info, clips: as for `prepare_cache`
    among_slices: let other slices of the same extraction run at the same time

    Raises UserError as `prepare_cache` does, and if another extraction is using the cache.
    """
    if cache.exists() and not cache.is_dir():
        raise not_a_cache(cache)
    missing = [folder for folder in (cache, *cache.parents) if not folder.exists()]
    try:
        with writing(cache):
            cache.mkdir(parents=True, exist_ok=True)
        with _lock_of(cache) as lock:
            if among_slices:
                _prepare_among_slices(lock, cache, info, clips)
            else:
                _lock_exclusively(lock, cache)
                prepare_cache(cache, info, clips)
            try:
                yield
            except BaseException:
                if lock.take(shared=False):  # no other slice is running
                    abandon_cache(cache)
                raise
    except BaseException:
        with suppress(OSError):  # it stays where it is not empty
            for folder in missing:
                folder.rmdir()
        raise


@contextmanager
def exclusive_lock(cache: Path) -> Iterator[None]:
    """Lock every extraction out of an existing cache until the block ends. Raises UserError if one is using it."""
    require_cache(cache)
    with _lock_of(cache) as lock:
        _lock_exclusively(lock, cache)
        yield


def _lock_of(cache: Path) -> FolderLock:
    with writing(cache):
        return FolderLock(cache)


def _lock_exclusively(lock: FolderLock, cache: Path) -> None:
    if not lock.take(shared=False):
        raise _busy(cache)


def _prepare_among_slices(lock: FolderLock, cache: Path, info: CacheInfo, clips: pl.DataFrame) -> None:
    """Prepare a cache, or wait until another slice has, and share the lock.

    The slices of a job array start together and would overwrite each other's `cache.json`. So the first one that
    gets the exclusive lock prepares the cache; a later one finds nothing to write and needs only the shared lock.
    Raises UserError as `extraction_lock` does.
    """
    began = time.monotonic()
    while True:
        prepared = is_prepared(cache, info, clips)
        if lock.take(shared=prepared):
            if not prepared:
                prepare_cache(cache, info, clips)
            elif is_prepared(cache, info, clips):  # it may have changed before the lock was taken
                return
        elif time.monotonic() > began + (PATIENCE_SECONDS if prepared else PREPARING_SECONDS):
            raise _busy(cache)
        else:
            time.sleep(POLL_SECONDS)


def _busy(cache: Path) -> UserError:
    return UserError(f"{cache}: another extraction is using it; run this again when that one has ended")
