"""Python imports this file at start if its folder is on PYTHONPATH: then no folder can be flushed to disk.

`FOLDER_SYNC_ERRNO` is the number of the error that fsync then gives.
"""

import os
import stat

flush = os.fsync


def fsync(descriptor: int) -> None:
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        number = int(os.environ["FOLDER_SYNC_ERRNO"])
        raise OSError(number, os.strerror(number))
    flush(descriptor)


os.fsync = fsync
