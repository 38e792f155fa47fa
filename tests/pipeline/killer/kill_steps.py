"""Kill a process with SIGKILL at a chosen step of the commit protocol."""

import os
import signal
from collections.abc import Callable
from pathlib import Path


def arm(at: str, below: str) -> None:
    """Kill this process at a step: "7:before" or "7:after" the seventh fsync, rename or removal below a folder."""
    steps = 0

    def kills(step: Callable, path_of: Callable) -> Callable:
        def counted(first, *args: object, **kwargs: object) -> object:
            nonlocal steps
            if not path_of(first).startswith(below):
                return step(first, *args, **kwargs)
            steps += 1
            if at == f"{steps}:before":
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                return step(first, *args, **kwargs)
            finally:
                if at == f"{steps}:after":
                    os.kill(os.getpid(), signal.SIGKILL)

        return counted

    os.fsync = kills(os.fsync, lambda descriptor: str(Path(f"/proc/self/fd/{descriptor}").readlink()))
    os.replace = kills(os.replace, os.fspath)
    os.unlink = kills(os.unlink, os.fspath)
