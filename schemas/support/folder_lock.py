"""Lock a folder for one process, or for several that share it.

The lock is advisory and on the folder itself: it leaves no file, and the kernel releases it however its process ends.
It works between processes of one machine. On a network file system each machine has locks of its own, and on a file
system without locks everybody gets the lock.
"""

import errno
import fcntl
import os
from pathlib import Path
from types import TracebackType

NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS)


class FolderLock:
    """A lock on an existing folder, released at the end of its `with` block.

    Raises OSError if the folder cannot be opened.
    """

    def __init__(self, folder: Path) -> None:
        # Python opens it close-on-exec: workers started later do not inherit the lock.
        self._descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)

    def take(self, *, shared: bool) -> bool:
        """Take the lock, or change the kind of a lock already taken. Return whether it worked; it never waits.

        After a failure no lock is left. Raises OSError.
        """
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)  # a failure must not leave the other kind
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
