"""Signals, and processes that end when their parent does.

Ctrl-C and job managers send SIGINT or SIGTERM, SLURM also SIGUSR1 shortly before a job's time is over, a terminal
that is closed sends SIGHUP, and all of them may reach every process of a group. A program here decides itself when it
stops (`stop_request`), its workers stop with it and not before (`signals_blocked`), and no worker outlives it
(`end_with_parent`).
"""

import contextlib
import math
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from types import FrameType

from dfer.schemas.support.errors import Interrupted, UserError

JOB_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)  # of job managers and terminals
STOP_SIGNALS = (signal.SIGINT, *JOB_SIGNALS)
# torchrun passes its own signal on, so a signal to the group reaches its processes twice; so may SIGHUP.
REPEAT_SECONDS = 2.0
POLL_SECONDS = 1.0
LOCKS = 16  # more than a worker process shares with its parent; each takes a page of memory

Handler = Callable[[int, FrameType | None], object] | signal.Handlers


def available_cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def require_locks(processes: int) -> None:
    """Check that this many processes can share locks. Raises UserError if /dev/shm has no room for them."""
    context = multiprocessing.get_context("fork")  # its locks need no further process
    try:
        _ = [context.Lock() for _ in range(LOCKS * processes)]
    except OSError as error:
        raise UserError(
            f"/dev/shm: {error.strerror}; processes share their locks there: make room, or start the container with "
            "--shm-size 1g"
        ) from None


@dataclass
class StopRequest:
    """number: of the signal that asked to stop; 0 if none did."""

    number: int = 0

    def check(self) -> None:
        """Raise Interrupted if a signal asked to stop."""
        if self.number:
            raise Interrupted(self.number)


@contextmanager
def stop_request(announcement: str | None = None) -> Iterator[StopRequest]:
    """Note STOP_SIGNALS instead of acting on them, so that the caller can stop at a safe point.

    announcement: printed to stderr at the first signal. A second signal then raises Interrupted at once. Without
        an announcement, further signals are ignored.

    Raises Interrupted at the end of the block if a signal came and there was no announcement.
    """
    request, first = StopRequest(), 0.0

    def note(number: int, _frame: FrameType | None) -> None:
        nonlocal first
        if not request.number:
            request.number, first = number, time.monotonic()
            _leave_closed_terminal(number)
            if announcement:
                print(announcement, file=sys.stderr)
        elif announcement and time.monotonic() - first >= REPEAT_SECONDS:
            raise Interrupted(number)

    with _handlers(dict.fromkeys(STOP_SIGNALS, note)):
        yield request
    if not announcement:
        request.check()


@contextmanager
def job_signals_raise() -> Iterator[None]:
    """Make JOB_SIGNALS raise Interrupted, as Ctrl-C raises KeyboardInterrupt. One that comes twice counts once."""
    last: dict[int, float] = {}

    def stop(number: int, _frame: FrameType | None) -> None:
        before, last[number] = last.get(number, -math.inf), time.monotonic()
        if last[number] - before < REPEAT_SECONDS:
            return  # it would break off what cleans up after the first one
        _leave_closed_terminal(number)
        raise Interrupted(number)

    with _handlers(dict.fromkeys(JOB_SIGNALS, stop)):
        yield


@contextmanager
def job_signals_kill() -> Iterator[None]:
    """Make JOB_SIGNALS end the process at once, while it waits in a library where Python's handlers do not run."""
    with _handlers(dict.fromkeys(JOB_SIGNALS, signal.SIG_DFL)):
        yield


@contextmanager
def signals_blocked(*signals: signal.Signals) -> Iterator[None]:
    """Start processes that never see these signals, unless they unblock them.

    A signal that reaches this process is acted on at the end of the block: in the middle of a start it would leave
    a half-started process.
    """
    received: list[int] = []
    with _handlers({number: lambda n, _: received.append(n) for number in signals}):
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        try:
            # multiprocessing starts its resource tracker with the first process. It ignores SIGINT and SIGTERM there,
            # no others, and then unblocks the two here.
            resource_tracker.ensure_running()
            signal.pthread_sigmask(signal.SIG_BLOCK, signals)
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    for number in dict.fromkeys(received):
        signal.raise_signal(number)


@contextmanager
def safe_import_path() -> Iterator[None]:
    """Start Python processes that import nothing from the current folder, as `python -P` does.

    A worker of multiprocessing takes over its parent's import path, but only after its first imports.
    """
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = before


def ignore_stop_signals(seconds: int) -> None:
    """Let this worker outlive a signal to its group: end this many seconds after SIGTERM, and ignore the others."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(seconds))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)


def end_with_parent(parent: int | None = None) -> None:
    """End this process when its parent ends, even by SIGKILL or before this call.

    parent: its process id; by default that of the process which started this one through multiprocessing.
    """
    if parent is None:
        parent = multiprocessing.parent_process().pid
    if sys.platform == "linux":  # the kernel does it, also while a library holds the GIL
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    else:
        threading.Thread(target=_wait_for_end, args=(parent,), daemon=True).start()
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def _leave_closed_terminal(number: int) -> None:
    """After SIGHUP write to nowhere instead of a terminal that is gone, where each line would be an error."""
    for stream in (1, 2) if number == signal.SIGHUP else ():
        try:
            os.write(stream, b"")
        except OSError:
            with contextlib.suppress(OSError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream)
                os.close(nowhere)


def _wait_for_end(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def _handlers(handlers: Mapping[int, Handler]) -> Iterator[None]:
    """Set signal handlers for the block; outside the main thread, where Python runs none, change nothing.

    SIGHUP stays ignored where it is: `nohup` asks for that.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept = {signal.SIGHUP} if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else set()
    before = {
        number: signal.signal(number, handler) for number, handler in handlers.items() if number not in kept
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
