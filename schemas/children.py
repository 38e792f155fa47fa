"""Processes that are started deaf to the signals which a terminal or a job manager sends to a whole group."""

import signal
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
