"""Clips over processes, where a bad clip harms no other clip.

Each worker is a joblib (loky) executor with one process, so it is always known which clip a process was on. A process
that dies, hangs or takes too much memory is replaced. Its clip is tried once more, alone in a new process, and then
quarantined with a reason. No other clip is lost or extracted twice.
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
from dfer.pipeline.config import ExtractConfig, RunOptions
from dfer.pipeline.face.mediapipe_tasks import NO_NETWORK
from dfer.pipeline.records import ExtractedClip
from dfer.pipeline.setup.models import ModelPaths
from dfer.schemas import cache
from dfer.schemas.keypoints import KeypointSet
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.processes import end_with_parent, signals_blocked, stop_request

POLL_SECONDS = 0.1
ATTEMPTS = 2
LOADING_SECONDS = 120.0
THREAD_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")

Key = tuple[int, int]  # (shard, position in the shard)
Task = tuple[Key, Path]


@dataclass(frozen=True, kw_only=True)
class Extractor:
    """Extracts clips one by one; every worker process gets a copy."""

    config: ExtractConfig
    models: ModelPaths
    keypoints: KeypointSet
    reuse: Reuse | None = None

    def load(self) -> None:
        """Load the models into this process. Raises UserError."""
        warm_up(self.config, self.models)

    def extract(self, path: Path) -> ExtractedClip:
        """Extract a clip. An exception of our code or of a library quarantines it; UserError passes through."""
        try:
            return extract_clip(path, self.config, self.models, self.reuse, keypoints=self.keypoints)
        except UserError:
            raise
        except MemoryError:
            return ExtractedClip(status=cache.QUARANTINED, reason="extraction ran out of memory")
        except Exception as error:
            reason = f"extraction failed: {type(error).__name__}"
            return ExtractedClip(status=cache.QUARANTINED, reason=reason)


def extract_clips(
    tasks: Iterable[Task], extractor: Extractor, count: int, options: RunOptions
) -> Iterator[tuple[Key, ExtractedClip]]:
    """Extract clips with worker processes; results come as they are finished, each with its key.

    tasks: key and path of each clip; drawn one at a time, so their number costs no memory
    count: number of workers
    options: the timeout and memory limit of a clip

    Raises UserError if the machine, not a clip, is at fault; Interrupted on a signal to stop.
    """
    # loky replaces a process that has grown by 300 MB, as a few 1080p clips make it; no clip is lost.
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
            workers.append(_Worker(Path(notes) / str(number), extractor, options))
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


class _Worker:
    """One process and the clip that it is on. `future` is None while it is idle."""

    def __init__(self, note: Path, extractor: Extractor, options: RunOptions) -> None:
        """note: a file in which the process writes its id."""
        self._note, self._extractor, self._options = note, extractor, options
        self.task: Task | None = None
        self._attempts = self._failed_loads = 0
        self._start()

    @property
    def ready(self) -> bool:
        """Whether the process has loaded the models and has nothing to do."""
        return self.future is None

    def give(self, task: Task) -> None:
        """Start a clip."""
        self.task, self._attempts = task, 0
        self._submit()

    def collect(self) -> tuple[Key, ExtractedClip] | None:
        """Return the clip if it is finished or given up; otherwise check the limits.

        Raises UserError if the process could not even load the models.
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
        with signals_blocked(signal.SIGINT, signal.SIGUSR1):
            self._executor = ProcessPoolExecutor(
                1, env=environment, initializer=_prepare_process, initargs=(self._note, os.getpid())
            )
            self.future: Future | None = self._executor.submit(self._extractor.load)
        self._loading, self._started = True, time.monotonic()

    def _submit(self) -> None:
        self._attempts += 1
        self._started = time.monotonic()
        self.future = self._executor.submit(self._extractor.extract, self.task[1])

    def _fault(self) -> str | None:
        """Say why the process must be stopped, if it must."""
        seconds, options = time.monotonic() - self._started, self._options
        if self._loading:
            return "its process did not load the models" if seconds > LOADING_SECONDS else None
        if seconds > options.clip_timeout:
            return f"it took longer than {options.clip_timeout:g} s"
        if self._memory() > 1e9 * options.worker_memory:
            return f"it needed more than {options.worker_memory:g} GB of memory"
        return None

    def _memory(self) -> int:
        """Resident bytes of the process; 0 while it is being replaced."""
        import psutil

        try:
            return psutil.Process(int(self._note.read_text())).memory_info().rss
        except (psutil.Error, OSError, ValueError):
            return 0

    def _failed(self, fault: str) -> tuple[Key, ExtractedClip] | None:
        """Replace the process. Returns the clip if this was its last attempt.

        Raises UserError if processes keep failing while they load the models.
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
    """Silence a worker process, tie its life to the parent's, and note its id."""
    # Native libraries write to stderr and would break the progress bar.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    end_with_parent(parent)
    note.write_text(str(os.getpid()))
