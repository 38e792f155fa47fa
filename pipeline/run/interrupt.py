"""Ctrl-C and SIGTERM at a moment of our own choosing, and only in this process."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dfer.schemas.support.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def deferred() -> Iterator[Callable[[], None]]:
    """Within the block SIGINT and SIGTERM only count; the function that it gives raises Interrupted then.

    An exception out of nowhere, in the middle of a process pool's bookkeeping, could leave a lock held for
    ever. Signals that come after the last call are raised at the block's end. Outside the main thread, where
    Python delivers no signals, nothing changes.
    """
    received: list[int] = []

    def check() -> None:
        if received:
            raise Interrupted(received[0])

    if threading.current_thread() is not threading.main_thread():
        yield check
        return
    before = {number: signal.signal(number, lambda n, _: received.append(n)) for number in SIGNALS}
    try:
        yield check
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    check()
