"""Uploads in line: so many at a time, and answered one after the other in the order in which they arrived."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dfer.train.use.serve.limits import MOST_UPLOADS, RefusedError


class Line:
    """Used by one event loop, so it needs no lock."""

    def __init__(self) -> None:
        self._inside = 0
        self._arrived: list[object] = []

    @contextmanager
    def room(self) -> Iterator[None]:
        """Room for an upload until the block ends. Raises RefusedError if there is none."""
        if self._inside >= MOST_UPLOADS:
            raise RefusedError(
                f"The server is busy with {MOST_UPLOADS} videos; try again in a moment.", status=503
            )
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1

    @contextmanager
    def turn(self) -> Iterator[Callable[[], int]]:
        """A place in the line until the block ends; a function tells how many are before it."""
        ticket = object()
        self._arrived.append(ticket)
        try:
            yield lambda: self._arrived.index(ticket)
        finally:
            self._arrived.remove(ticket)
