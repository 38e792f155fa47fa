"""Ctrl-C and SIGTERM wait for the end of the step, or of the batch that is judged, so that nothing of it is lost; a
second one acts at once."""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from dfer.schemas.support.errors import Interrupted

# A signal to a whole group comes twice to what torchrun has started: it passes its own on.
SAME_SECONDS = 2.0


@dataclass
class StopRequest:
    """The number of the signal that asked to stop; 0: none did."""

    number: int = 0


@contextmanager
def stop_request() -> Iterator[StopRequest]:
    """While it is open, the first SIGINT or SIGTERM is only noted; at a second one, SAME_SECONDS later or more,
    Interrupted is raised."""
    request, first = StopRequest(), 0.0

    def note(number: int, _frame: FrameType | None) -> None:
        nonlocal first
        if request.number:
            if time.monotonic() - first < SAME_SECONDS:
                return
            raise Interrupted(number)
        request.number, first = number, time.monotonic()
        print("stopping after this step; again: at once", file=sys.stderr)

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
