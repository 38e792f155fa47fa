"""Kill this process with SIGKILL at a chosen step of the commit protocol.

Python imports this file at start if its folder is on PYTHONPATH. `KILL_AT=7:before` or `7:after` is the step: the
seventh fsync, rename or removal below the folder `KILL_BELOW`. Child processes are not killed.
"""

import os
import signal
from collections.abc import Callable
from pathlib import Path

_at, _below = os.environ.pop("KILL_AT", None), os.environ.pop("KILL_BELOW", "")
_steps = 0


def _kills(step: Callable, path_of: Callable) -> Callable:
    def counted(first, *args: object, **kwargs: object) -> object:
        global _steps
        if not path_of(first).startswith(_below):
            return step(first, *args, **kwargs)
        _steps += 1
        if _at == f"{_steps}:before":
            os.kill(os.getpid(), signal.SIGKILL)
        try:
            return step(first, *args, **kwargs)
        finally:
            if _at == f"{_steps}:after":
                os.kill(os.getpid(), signal.SIGKILL)

    return counted


if _at:
    os.fsync = _kills(os.fsync, lambda descriptor: str(Path(f"/proc/self/fd/{descriptor}").readlink()))
    os.replace = _kills(os.replace, os.fspath)
    os.unlink = _kills(os.unlink, os.fspath)
