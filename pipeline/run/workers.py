"""Clips over processes, where a bad clip harms no other clip.

Each worker is a joblib (loky) executor with one process, so it is always known which clip a process was on. A process
that dies, hangs or takes too much memory is replaced. Its clip is tried once more, alone in a new process, and then
quarantined with a reason. No other clip is lost or extracted twice. Stills, which take milliseconds each, are given
to a process several at a time; where such a batch fails, each of them is judged alone.

A slow machine is not a clip's fault. Loading the models has its own limit and is never part of a clip's time, and a
clip is charged for what its process does (`watch`), not for what other programs take.
"""

import contextlib
import os
import signal
import warnings
from collections.abc import Iterable, Iterator, Sequence
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
from dfer.pipeline.run.watch import Watch
from dfer.pipeline.setup.models import ModelPaths
from dfer.schemas import cache
from dfer.schemas.keypoints import KeypointSet
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.processes import end_with_parent, signals_blocked, stop_request

POLL_SECONDS = 0.1
ATTEMPTS = 2
DIED = "its process died (killed, or crashed in a library)"
DIED_LOADING = (
    "worker processes die while they load the models; run `pipeline doctor`, or use fewer --workers if "
    "memory is short"
)
PATIENCE = 10  # × a time limit: the longest that anything may take, however slowly it gets on
THREAD_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")

Key = tuple[int, int]  # (shard, position in the shard)
Task = tuple[Key, Path]
Batch = Sequence[Task]  # what a process gets at a time


@dataclass(frozen=True, kw_only=True)
class Extractor:
    """Extracts clips one by one; every worker process gets a copy."""

    config: ExtractConfig
    models: ModelPaths
    keypoints: KeypointSet
    reuse: Reuse | None = None

    def load(self) -> None:
        """Load all that clips need into this process. Raises UserError."""
        warm_up(self.config, self.models)
        if self.reuse:
            self.reuse.load()

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
    batches: Iterable[Batch], extractor: Extractor, count: int, options: RunOptions
) -> Iterator[tuple[Key, ExtractedClip]]:
    """Extract clips with worker processes; results come as they are finished, each with its key.

    batches: keys and paths of the clips; drawn one at a time, so their number costs no memory
    count: number of workers
    options: the limits of loading and of a clip

    Raises UserError if the machine, not a clip, is at fault; Interrupted on a signal to stop.
    """
    # loky replaces a process that has grown by 300 MB, as a few 1080p clips make it; no clip is lost.
    warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
    remaining = iter(batches)
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
                    batch = next(remaining, None)
                    left = batch is not None
                    if batch:
                        worker.give(batch)
            if not left and not any(worker.batches for worker in workers):
                return
            wait([w.future for w in workers if w.future], timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
            for worker in workers:
                if worker.future:
                    yield from worker.collect()


class _Worker:
    """One process and the batches that it has yet to finish, the first of which it is on.

    `future` is None while it is idle.
    """

    def __init__(self, note: Path, extractor: Extractor, options: RunOptions) -> None:
        """note: a file in which the process writes its id when it has loaded the models."""
        self._note, self._extractor, self._options = note, extractor, options
        self.batches: list[Batch] = []
        self._faults = self._failed_loads = 0
        self._start()

    @property
    def ready(self) -> bool:
        """Whether the process has loaded the models and has nothing to do."""
        return self.future is None

    def give(self, batch: Batch) -> None:
        """Start a batch of clips."""
        self.batches = [batch]
        self._submit()

    def collect(self) -> list[tuple[Key, ExtractedClip]]:
        """Return the clips that are finished or given up; check the limits of a batch that is not finished.

        Raises UserError if the process could not even load the models.
        """
        if not self.future.done():
            loading = self._is_loading()
            fault = self._loading_fault() if loading else self._clip_fault()
            return self._failed(fault, loading) if fault else []
        try:
            clips = self.future.result()
        except BrokenProcessPool:
            loading = not (self._on_clip and self._note.exists())
            return self._failed(DIED_LOADING if loading else DIED, loading)
        self.future, self._failed_loads = None, 0
        done = self._finish(clips) if self._on_clip else []
        if self.batches:
            self._submit()
        return done

    def stop(self) -> None:
        """End the process, whatever it is doing."""
        self._executor.shutdown(wait=True, kill_workers=True)

    def _start(self) -> None:
        from joblib.externals.loky import ProcessPoolExecutor

        environment = {**NO_NETWORK, **dict.fromkeys(THREAD_LIMITS, "1")}
        self._note.unlink(missing_ok=True)
        with signals_blocked(signal.SIGINT, signal.SIGUSR1, signal.SIGHUP):
            self._executor = ProcessPoolExecutor(
                1, env=environment, initializer=prepare_process, initargs=(os.getpid(),)
            )
            self.future: Future | None = self._executor.submit(_load, self._extractor, self._note)
        self._on_clip, self._watched = False, None

    def _submit(self) -> None:
        paths = [path for _, path in self.batches[0]]
        self.future = self._executor.submit(_extract, self._extractor, paths, self._note)
        self._on_clip, self._watched = True, None

    def _finish(self, clips: Iterable[ExtractedClip]) -> list[tuple[Key, ExtractedClip]]:
        """Pair the clips of the batch that is done with their keys."""
        self._faults = 0
        keys = [key for key, _ in self.batches.pop(0)]
        return list(zip(keys, clips, strict=True))

    def _is_loading(self) -> bool:
        """Look at the process; return whether it has yet to load the models.

        It loads them at its start, also where loky has replaced it with a clip already submitted.
        """
        process = next(reversed([*self._executor._processes]), None)
        loading = not self._on_clip or _read(self._note) != str(process)
        if self._watched != (process, loading):
            self._watched, self._watch = (process, loading), Watch(process)
        self._watch.look()
        return loading

    def _loading_fault(self) -> str | None:
        watch, limit = self._watch, self._options.loading_timeout
        advice = "run `pipeline doctor`, or raise --loading-timeout"
        if watch.still > limit:
            return f"worker processes stand still for {limit:g} s while they load the models; {advice}"
        if watch.passed > PATIENCE * limit:
            return f"worker processes have not loaded the models after {PATIENCE * limit:g} s; {advice}"
        return None

    def _clip_fault(self) -> str | None:
        watch, options = self._watch, self._options
        if max(watch.worked, watch.still, watch.passed / PATIENCE) > options.clip_timeout:
            return f"it took longer than {options.clip_timeout:g} s"
        if watch.memory > 1e9 * options.worker_memory:
            return f"it needed more than {options.worker_memory:g} GB of memory"
        return None

    def _failed(self, fault: str, loading: bool) -> list[tuple[Key, ExtractedClip]]:
        """Replace the process, and split the batch. Returns a clip if this was its last attempt.

        Raises UserError if processes keep failing while they load the models.
        """
        if loading:
            self._failed_loads += 1
        else:
            self._faults += 1
        if self._failed_loads == ATTEMPTS:
            raise UserError(fault)
        self.stop()
        self._start()
        if loading:
            return []
        if len(self.batches[0]) > 1:
            self._faults = 0
            self.batches[:1] = [[task] for task in self.batches[0]]
        if self._faults < ATTEMPTS:
            return []
        return self._finish([ExtractedClip(status=cache.QUARANTINED, reason=fault)])


def prepare_process(parent: int) -> None:
    """Silence a worker process and tie its life to the parent's."""
    # Native libraries write to stderr and would break the progress bar.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    end_with_parent(parent)


def _load(extractor: Extractor, note: Path) -> None:
    """Load the models into this process, and note that it has them."""
    extractor.load()
    note.write_text(str(os.getpid()))


def _extract(extractor: Extractor, paths: Sequence[Path], note: Path) -> list[ExtractedClip]:
    """Extract clips; a process that loky has put in place of a grown one loads the models first."""
    if _read(note) != str(os.getpid()):
        note.unlink()
        _load(extractor, note)
    return [extractor.extract(path) for path in paths]


def _read(note: Path) -> str:
    """The content of a note; empty where there is none."""
    try:
        return note.read_text()
    except FileNotFoundError:
        return ""
