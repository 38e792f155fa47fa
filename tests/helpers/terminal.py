"""What a person sees who works in a terminal."""

import os
import pty
import sys
from collections.abc import Callable

import pytest

END = "(end)"


def shown_in_terminal(monkeypatch: pytest.MonkeyPatch, work: Callable[[], None]) -> str:
    """What a function writes to standard error where that is a terminal."""
    ours, theirs = pty.openpty()
    text = ""
    with os.fdopen(theirs, "w") as terminal, monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", terminal)
        patched.setenv("TERM", "xterm")
        work()
        terminal.write(END)
        terminal.flush()
        while not text.endswith(END):  # a read gives what has arrived so far
            text += os.read(ours, 1 << 16).decode()
    os.close(ours)
    return text.removesuffix(END)
