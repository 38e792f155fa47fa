"""Commands on a machine whose /dev/shm is small, as in most containers: in a mount namespace, which takes root."""

import functools
import subprocess

import pytest

MOUNT = 'mount -t tmpfs -o size="$0" tmpfs /dev/shm && exec "$@"'


def run(size: str, *command: object) -> subprocess.CompletedProcess:
    """Run a command with a /dev/shm of this size, such as 1m; skip the test where that is not allowed."""
    if reason := _refusal():
        pytest.skip(f"no mount namespace: {reason}")
    return subprocess.run(_inside(size, *command), capture_output=True, text=True)


@functools.cache
def _refusal() -> str:
    """Why this machine does not make a mount namespace; empty if it does."""
    try:
        outcome = subprocess.run(_inside("1m", "true"), capture_output=True, text=True)
    except OSError as error:
        return str(error)
    return outcome.stderr.strip() if outcome.returncode else ""


def _inside(size: str, *command: object) -> list[str]:
    return ["unshare", "--mount", "sh", "-c", MOUNT, size, *map(str, command)]
