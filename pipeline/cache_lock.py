"""Who may work on a cache: one extraction alone, or slices of one beside each other.

The lock is advisory and lies on the cache's folder itself: it leaves no file there, and the kernel takes it back
however its process ends. Only processes of one machine keep each other out: folders on a network file system are
locked on each machine for itself, and where a file system has no locks at all, everybody gets one.
"""

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import polars as pl

from pipeline.cache_folder import is_prepared, not_a_cache, prepare_cache, writing
from schemas.cache import CacheInfo, require_cache
from schemas.errors import UserError

NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS)
PATIENCE_SECONDS = 5.0  # that a slice waits for another one to prepare the cache
POLL_SECONDS = 0.05


class _FolderLock:
    """A lock on an existing folder, not taken yet, let go at the end of its `with` block.

    Raises OSError where the folder cannot be opened.
    """

    def __init__(self, folder: Path) -> None:
        # Python opens it so that the programs started meanwhile, workers above all, do not inherit the lock.
        self._descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)

    def take(self, *, shared: bool) -> bool:
        """Take it, or turn the one that is held into the other kind; whether that could be done at once.

        Where it could not, nothing is held any more. Raises OSError.
        """
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)  # or a failure would leave the other kind held
            fcntl.flock(self._descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
        return True

    def __enter__(self) -> "_FolderLock":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)


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


def _lock_of(cache: Path) -> _FolderLock:
    with writing(cache):
        return _FolderLock(cache)


def _take_alone(lock: _FolderLock, cache: Path) -> None:
    if not lock.take(shared=False):
        raise _busy(cache)


def _prepare_among_slices(lock: _FolderLock, cache: Path, info: CacheInfo, clips: pl.DataFrame) -> None:
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
