"""Many clips over processes: joblib's loky workers, one clip a task, each worker with one inner thread.

Always in processes of their own, with one worker too: what decord and MediaPipe print, hold or break stays there.
"""

import os
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from pipeline.clip import ExtractedClip, extract_clip
from pipeline.config import ExtractConfig
from pipeline.mediapipe_tasks import NO_NETWORK
from pipeline.models import ModelPaths
from schemas import cache
from schemas.errors import UserError

QUEUED_PER_WORKER = 4  # enough that no worker waits while the parent writes a shard
THREAD_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")

Task = tuple[tuple[int, int], Path]  # (shard, place in the shard), the clip's path


def extract_clips(
    tasks: Iterable[Task], config: ExtractConfig, models: ModelPaths, workers: int
) -> Iterator[tuple[tuple[int, int], ExtractedClip]]:
    """Extract every task's clip; results come as they are finished, each with its task's key.

    Tasks are drawn a few at a time, so their number costs no memory.
    Raises UserError where a worker process dies.
    """
    from joblib.externals.loky import ProcessPoolExecutor

    # loky replaces a worker that has grown by 300 MB, which a few 1080p clips do; nothing is lost by it.
    warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
    environment = {**NO_NETWORK, **dict.fromkeys(THREAD_LIMITS, "1")}
    executor = ProcessPoolExecutor(workers, env=environment, initializer=_silence)
    remaining = iter(tasks)
    pending: dict[Future, tuple[int, int]] = {}
    try:
        while True:
            for key, path in _take(remaining, QUEUED_PER_WORKER * workers - len(pending)):
                pending[executor.submit(run_clip, path, config, models)] = key
            if not pending:
                return
            for future in wait(pending, return_when=FIRST_COMPLETED).done:
                yield pending.pop(future), future.result()
    except BrokenProcessPool:
        raise UserError(
            "a worker process died; run the same command again to go on from the last shard"
        ) from None
    finally:
        executor.shutdown(wait=True, kill_workers=True)


def run_clip(path: Path, config: ExtractConfig, models: ModelPaths) -> ExtractedClip:
    """`extract_clip`, with a fault of our own code or a library kept in its clip."""
    try:
        return extract_clip(path, config, models)
    except UserError:
        raise
    except Exception as error:
        return ExtractedClip(status=cache.QUARANTINED, reason=f"extraction failed: {type(error).__name__}")


def _take(tasks: Iterator[Task], count: int) -> Iterator[Task]:
    return (task for _, task in zip(range(count), tasks, strict=False))


def _silence() -> None:
    """Send what native libraries write to this worker's stderr nowhere: it would tear the progress bar."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
