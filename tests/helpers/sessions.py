"""Real commands, each in a session of its own, so that all processes that it starts can be found."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

POLL_SECONDS = 0.002


def session(leader: int) -> list[psutil.Process]:
    """The processes of a session that still run: all that a command has started."""
    alive = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                alive.append(process)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return alive


def all_gone(leader: int) -> bool:
    """Whether a session has no process left, after ten seconds at most."""
    deadline = time.monotonic() + 10
    while session(leader) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not session(leader)


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A command that ended: by itself if `killed` is false. left: processes of it that still run, as text."""

    pid: int
    code: int
    stdout: str
    stderr: str
    killed: bool = False
    left: tuple[str, ...] = ()


def run_command(
    command: Sequence[object],
    environment: dict[str, str] | None = None,
    is_due: Callable[[float], bool] = lambda seconds: False,
    kill: Callable[[int], None] = lambda pid: None,
) -> Ended:
    """Run a command to its end, or until it is killed.

    is_due: whether to kill it now, asked again and again with the seconds since its start
    kill: kills it, given its process id

    No pipes: a process that outlives the command would keep them open.
    """
    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        process = subprocess.Popen(
            [*map(str, command)],
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        started, killed = time.monotonic(), False
        while process.poll() is None:
            if not killed and is_due(time.monotonic() - started):
                kill(process.pid)
                killed = True
            time.sleep(POLL_SECONDS)
        left = () if all_gone(process.pid) else tuple(map(_described, session(process.pid)))
        texts = [(file.seek(0), file.read())[1] for file in (stdout, stderr)]
    return Ended(
        pid=process.pid,
        code=process.returncode,
        stdout=texts[0],
        stderr=texts[1],
        killed=killed,
        left=left,
    )


def _described(process: psutil.Process) -> str:
    try:
        return f"{process.pid} {' '.join(process.cmdline())[:200]}"
    except psutil.Error:
        return str(process.pid)


def remove_semaphores(pid: int) -> int:
    """Remove the semaphores of joblib that a dead process left in memory, and return how many they were.

    Its resource tracker removes them, unless it is killed with the process.
    """
    left = [*Path("/dev/shm").glob(f"sem.loky-{pid}-*")]
    for path in left:
        path.unlink(missing_ok=True)
    return len(left)


def installed(program: str) -> Path:
    """Where an installed program is: next to this Python."""
    return Path(sys.executable).parent / program
