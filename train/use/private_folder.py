"""Temporary folders for people's videos and faces, which only this user can read.

Each is removed however its block ends. What a killed process leaves, the next one removes: whoever uses a folder
holds a lock on it, which the kernel releases.
"""

import fcntl
import os
import platform
import secrets
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dfer.schemas.support.processes import stop_request


@contextmanager
def private_folder(prefix: str) -> Iterator[Path]:
    """A temporary folder for the block. prefix: of its name, by which left ones are found"""
    own = f"{prefix}-{zlib.crc32(platform.node().encode()):08x}"  # locks may not reach other machines
    parent, token = Path(tempfile.gettempdir()), secrets.token_hex(8)
    for left in parent.glob(f"{own}-*"):
        _remove_left(left)
    folder, unlocked = parent / f"{own}-{token}", parent / f"{prefix}-new-{token}"
    lock = None
    try:
        unlocked.mkdir(mode=0o700)
        lock = os.open(unlocked, os.O_RDONLY | os.O_DIRECTORY)
        with suppress(OSError):  # a file system without locks, where nobody can take it for left
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        unlocked.rename(folder)
        yield folder
    finally:
        with stop_request():  # a second Ctrl-C would leave faces there
            for each in (unlocked, folder):
                shutil.rmtree(each, ignore_errors=True)
            if lock is not None:
                os.close(lock)


def _remove_left(folder: Path) -> None:
    """Remove a folder of this user if no process has it locked."""
    with suppress(OSError):
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            if os.fstat(lock).st_uid == os.getuid():
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)
