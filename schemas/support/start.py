"""How a program starts: it can be interrupted before its first command runs.

Its imports take a second on a slow disk, and an interrupted import shows a traceback, or turns into another error.
"""

import os
import signal
from importlib import import_module
from types import FrameType


class _Stop:
    """The handler of SIGINT until a command runs."""

    def __init__(self, program: str) -> None:
        self._program = program

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        os.write(2, f"{self._program}: interrupted\n".encode())
        os._exit(128 + number)  # nothing was begun


def start(program: str) -> None:
    """Run the command line of `pipeline` or `train`."""
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
        signal.signal(signal.SIGINT, _Stop(program))
    import_module(f"dfer.{program}.cli").main(prog_name=program)


def command_runs() -> None:
    """From now on SIGINT raises KeyboardInterrupt, so that a command can clean up."""
    if isinstance(signal.getsignal(signal.SIGINT), _Stop):
        signal.signal(signal.SIGINT, signal.default_int_handler)
