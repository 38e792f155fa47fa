"""Ctrl-C and SIGTERM wait for the end of the step, so that nothing of it is lost; a second one acts at once."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from schemas.errors import Interrupted


@dataclass
class StopRequest:
    """The number of the signal that asked to stop; 0: none did."""

    number: int = 0


@contextmanager
def stop_request() -> Iterator[StopRequest]:
    """While it is open, the first SIGINT or SIGTERM is only noted; at the second Interrupted is raised."""
    request = StopRequest()

    def note(number: int, _frame: FrameType | None) -> None:
        if request.number:
            raise Interrupted(number)
        request.number = number
        print("stopping after this step; again: at once", file=sys.stderr)

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
