"""Who may work on a cache: one extraction alone, or slices of one beside each other (`schemas.folder_lock`)."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from dfer.pipeline.cache.folder import is_prepared, not_a_cache, prepare_cache, writing
from dfer.schemas.cache import CacheInfo
from dfer.schemas.read_cache import require_cache
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.folder_lock import FolderLock

PATIENCE_SECONDS = 5.0  # that a slice waits for another one to prepare the cache
POLL_SECONDS = 0.05


@contextmanager
def at_work(cache: Path, info: CacheInfo, clips: pl.DataFrame, *, among_slices: bool) -> Iterator[None]:
    """Prepare a cache for an extraction, and keep every other one out of it until the block ends.

    among_slices: other slices of the same extraction, and only they, may be at work beside it.
    Raises UserError as `prepare_cache` does, and where another extraction is at work.
    """
    if cache.exists() and not cache.is_dir():
        raise not_a_cache(cache)
    with writing(cache):
        cache.mkdir(parents=True, exist_ok=True)
    with _lock_of(cache) as lock:
        if among_slices:
            _prepare_among_slices(lock, cache, info, clips)
        else:
            _take_alone(lock, cache)
            prepare_cache(cache, info, clips)
        yield


@contextmanager
def alone(cache: Path) -> Iterator[None]:
    """Keep every extraction out of an existing cache until the block ends. Raises UserError where one is at work."""
    require_cache(cache)
    with _lock_of(cache) as lock:
        _take_alone(lock, cache)
        yield


def _lock_of(cache: Path) -> FolderLock:
    with writing(cache):
        return FolderLock(cache)


def _take_alone(lock: FolderLock, cache: Path) -> None:
    if not lock.take(shared=False):
        raise _busy(cache)


def _prepare_among_slices(lock: FolderLock, cache: Path, info: CacheInfo, clips: pl.DataFrame) -> None:
    """Prepare a cache or wait until another slice has, and share the lock.

    Slices begin together, as jobs of an array do, and would write `cache.json` over each other: the first that
    holds the lock alone does it. A slice that comes later finds nothing to write, and needs no such moment.
    Raises UserError as `at_work` does.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        prepared = is_prepared(cache, info, clips)
        if lock.take(shared=prepared):
            if not prepared:
                prepare_cache(cache, info, clips)
            elif is_prepared(cache, info, clips):  # until the lock was held, it could change
                return
        elif time.monotonic() > deadline:
            raise _busy(cache)
        else:
            time.sleep(POLL_SECONDS)


def _busy(cache: Path) -> UserError:
    return UserError(f"{cache}: another extraction is at work on it; run this again when that has ended")
