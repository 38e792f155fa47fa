"""Processes that end with their parent, not by the signals that a terminal or a job manager sends to a group."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker


@contextmanager
def spared(*signals: signal.Signals) -> Iterator[None]:
    """Processes started within the block never see these signals, unless they unblock them themselves.

    multiprocessing starts its resource tracker with the first of them and unblocks SIGINT and SIGTERM after that: so
    it is started before.
    """
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent() -> None:
    """Let this process, which multiprocessing has started, end when its parent is gone, even if it already is."""

    def wait() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
