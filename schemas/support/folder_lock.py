"""Who may work in a folder: one process alone, or several that agree.

The lock is advisory and lies on the folder itself: it leaves no file there, and the kernel takes it back however its
process ends. Only processes of one machine keep each other out: folders on a network file system are locked on each
machine for itself, and where a file system has no locks at all, everybody gets one.
"""

import errno
import fcntl
import os
from pathlib import Path
from types import TracebackType

NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS)


class FolderLock:
    """A lock on an existing folder, not taken yet, let go at the end of its `with` block.

    Raises OSError where the folder cannot be opened.
    """

    def __init__(self, folder: Path) -> None:
        # Python opens it so that the programs started meanwhile, workers above all, do not inherit the lock.
        self._descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)

    def take(self, *, shared: bool) -> bool:
        """Take it, or turn the one that is held into the other kind; whether that could be done at once.

        Where it could not, nothing is held any more. Raises OSError.
        """
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)  # or a failure would leave the other kind held
            fcntl.flock(self._descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
        return True

    def __enter__(self) -> "FolderLock":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)
