"""Many clips over processes, where a clip can break nothing but itself.

Every worker is a joblib (loky) executor of one process, so it is always known which clip a process was on. One
that dies, hangs or eats too much memory is ended and replaced; its clip is tried once more, alone in a fresh
process, and then given up with a reason. Nothing else is lost or done twice.
"""

import contextlib
import os
import signal
import time
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from dfer.pipeline.cache.reuse import Reuse
from dfer.pipeline.clip import extract_clip, warm_up
from dfer.pipeline.config import ExtractConfig
from dfer.pipeline.face.mediapipe_tasks import NO_NETWORK
from dfer.pipeline.records import ExtractedClip
from dfer.pipeline.setup.models import ModelPaths
from dfer.schemas import cache
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.processes import end_with_parent, signals_blocked, stop_request

POLL_SECONDS = 0.1
ATTEMPTS = 2
LOADING_SECONDS = 120.0
THREAD_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")

Key = tuple[int, int]  # (shard, place in the shard)
Task = tuple[Key, Path]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one clip may cost. clip_timeout: seconds; worker_memory: resident bytes of the whole worker."""

    clip_timeout: float = 60.0
    worker_memory: float = 2e9

    def __post_init__(self) -> None:
        if not self.clip_timeout > 0:
            raise UserError(f"--clip-timeout {self.clip_timeout}: it must be more than 0 seconds")
        if not self.worker_memory >= 5e8:
            raise UserError(f"--worker-memory {self.worker_memory / 1e9}: a worker needs at least 0.5 GB")


def extract_clips(
    tasks: Iterable[Task],
    config: ExtractConfig,
    models: ModelPaths,
    count: int,
    limits: Limits,
    reuse: Reuse | None = None,
) -> Iterator[tuple[Key, ExtractedClip]]:
    """Extract every task's clip with `count` workers; results come as they are finished, each with its key.

    Tasks are drawn one at a time, so their number costs no memory.
    Raises UserError where the machine, not a clip, is at fault; Interrupted on SIGINT and SIGTERM.
    """
    # loky replaces a process that has grown by 300 MB, which a few 1080p clips do; nothing is lost by it.
    warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
    remaining = iter(tasks)
    with (
        stop_request() as stop,
        TemporaryDirectory(prefix="dfer-workers-") as notes,
        contextlib.ExitStack() as stack,
    ):
        workers: list[_Worker] = []
        left = True
        for number in range(count):
            workers.append(_Worker(Path(notes) / str(number), config, models, limits, reuse))
            stack.callback(workers[-1].stop)
        while True:
            stop.check()
            for worker in workers:
                if left and worker.ready:
                    task = next(remaining, None)
                    left = task is not None
                    if task:
                        worker.give(task)
            busy = [worker.future for worker in workers if worker.task]
            if not busy and not left:
                return
            wait([w.future for w in workers if w.future], timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
            for worker in workers:
                if worker.future and (result := worker.collect()):
                    yield result


def run_clip(path: Path, config: ExtractConfig, models: ModelPaths, reuse: Reuse | None) -> ExtractedClip:
    """`extract_clip`, with a fault of our own code or a library kept in its clip."""
    try:
        return extract_clip(path, config, models, reuse)
    except UserError:
        raise
    except MemoryError:
        return ExtractedClip(status=cache.QUARANTINED, reason="extraction ran out of memory")
    except Exception as error:
        return ExtractedClip(status=cache.QUARANTINED, reason=f"extraction failed: {type(error).__name__}")


class _Worker:
    """One process and the clip that it is on. `future` is None when it is idle."""

    def __init__(
        self,
        note: Path,
        config: ExtractConfig,
        models: ModelPaths,
        limits: Limits,
        reuse: Reuse | None,
    ) -> None:
        self._note, self._limits = note, limits
        self._config, self._models, self._reuse = config, models, reuse
        self.task: Task | None = None
        self._attempts = self._failed_loads = 0
        self._start()

    @property
    def ready(self) -> bool:
        """Whether it can be given a clip: its process has loaded the models and has nothing to do."""
        return self.future is None

    def give(self, task: Task) -> None:
        """Let it extract a task's clip."""
        self.task, self._attempts = task, 0
        self._submit()

    def collect(self) -> tuple[Key, ExtractedClip] | None:
        """The clip, if it is finished or has to be given up; otherwise see that it keeps the limits.

        Raises UserError where the process could not even load the models.
        """
        if not self.future.done():
            fault = self._fault()
            return self._failed(fault) if fault else None
        try:
            result = self.future.result()
        except BrokenProcessPool:
            return self._failed("its process died (killed, or crashed in a library)")
        self.future = None
        if self._loading:
            self._loading, self._failed_loads = False, 0
            if self.task:
                self._submit()
            return None
        (key, _), self.task = self.task, None
        return key, result

    def stop(self) -> None:
        """End the process, whatever it is doing."""
        self._executor.shutdown(wait=True, kill_workers=True)

    def _start(self) -> None:
        from joblib.externals.loky import ProcessPoolExecutor

        environment = {**NO_NETWORK, **dict.fromkeys(THREAD_LIMITS, "1")}
        self._executor = ProcessPoolExecutor(
            1, env=environment, initializer=_prepare_process, initargs=(self._note, os.getpid())
        )
        with signals_blocked(signal.SIGINT):
            self.future: Future | None = self._executor.submit(warm_up, self._config, self._models)
        self._loading, self._started = True, time.monotonic()

    def _submit(self) -> None:
        self._attempts += 1
        self._started = time.monotonic()
        self.future = self._executor.submit(run_clip, self.task[1], self._config, self._models, self._reuse)

    def _fault(self) -> str | None:
        """Why the process must be stopped, if it must."""
        if self._loading:
            too_long = time.monotonic() - self._started > LOADING_SECONDS
            return "its process did not load the models" if too_long else None
        if time.monotonic() - self._started > self._limits.clip_timeout:
            return f"it took longer than {self._limits.clip_timeout:g} s"
        if self._memory() > self._limits.worker_memory:
            return f"it needed more than {self._limits.worker_memory / 1e9:g} GB of memory"
        return None

    def _memory(self) -> int:
        """Resident bytes of the process; 0 where it is just being replaced."""
        import psutil

        try:
            return psutil.Process(int(self._note.read_text())).memory_info().rss
        except (psutil.Error, OSError, ValueError):
            return 0

    def _failed(self, fault: str) -> tuple[Key, ExtractedClip] | None:
        """Replace the process; its clip is tried again there, or given up.

        Raises UserError where processes fail while they load the models, again and again.
        """
        was_loading = self._loading
        self._failed_loads = self._failed_loads + 1 if was_loading else 0
        if self._failed_loads == ATTEMPTS:
            raise UserError("worker processes fail while they load the models; run `pipeline doctor`")
        self.stop()
        self._start()
        if was_loading or self._attempts < ATTEMPTS:
            return None
        (key, _), self.task = self.task, None
        return key, ExtractedClip(status=cache.QUARANTINED, reason=fault)


def _prepare_process(note: Path, parent: int) -> None:
    """Make a worker process quiet, mortal and known."""
    # What native libraries write to stderr would tear the progress bar.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    end_with_parent(parent)
    note.write_text(str(os.getpid()))
