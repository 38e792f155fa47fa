"""Atomic files: written under a temporary name, flushed to disk, then renamed."""

import errno
import hashlib
import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from dfer.schemas.support.errors import UserError

if TYPE_CHECKING:
    import polars as pl

# What a share, a FUSE file system or WSL answers where it cannot flush a folder to disk.
NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF)
# What a disk without room answers, or one where this user may write no more.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Open a binary file that gets its name only if the block ends without an exception.

    The content reaches the disk before the name does (fsync, rename, fsync of the folder). A crash at any moment
    leaves the old file, the new one, or a `.tmp` that nobody reads. On a file system that cannot flush a folder, the
    new name may be lost with the machine's power.

    Raises OSError that names `path`, never the temporary file.
    """
    temporary = temporary_name(path)
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except BaseException as error:
        # A file that cannot be created cannot be removed either; report the first error.
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and error.filename in (None, str(temporary)):
            error.filename = str(path)  # a full disk gives no name, and users do not know the temporary one
        raise


@contextmanager
def writing(
    what: str, instead: str = "another --out", retry: str = "run the same command again"
) -> Iterator[None]:
    """Turn an OSError into one line on what could not be written and what to do.

    what: is written, such as "the cache faces"
    instead: what to give if room is not what is missing
    retry: what to do once there is room again

    Raises UserError, whose cause is the OSError.
    """
    try:
        yield
    except OSError as error:
        advice = f"make room, then {retry}" if error.errno in FULL else f"give {instead}"
        raise UserError(f"cannot write {what}: {error.strerror}; {advice}") from error


def target_file(path: Path, option: str = "--out", suffixes: tuple[str, ...] = ()) -> Path:
    """Resolve the path of a file to write, and check that it can be a file, and be written.

    option: the flag that names it, for the message
    suffixes: allowed endings in lower case; none means any

    Raises UserError.
    """
    if suffixes and path.suffix.lower() not in suffixes:
        raise UserError(f"{option} {path}: the name must end in {' or '.join(suffixes)}")
    where = f"{option} {path}"
    try:
        target = path.resolve()
        with suppress(FileNotFoundError, NotADirectoryError):
            temporary_name(target).lstat()  # its name is longer than the file's
        if not target.parent.is_dir():
            folder = target.parent if path.parent.is_dir() else path.parent  # the former where a link leads
            raise UserError(f"{where}: no such folder: {folder}")
        if target.is_dir():
            raise UserError(f"{where} is a folder; give a file name")
        if target.exists() and not target.is_file():
            raise UserError(f"{where} exists and is not a regular file; choose another name")
        with tempfile.TemporaryFile(dir=target.parent):
            return target
    except RuntimeError:  # of `resolve`
        raise UserError(f"{where} is a link that leads to itself; choose another name") from None
    except OSError as error:
        too_long = error.errno == errno.ENAMETOOLONG
        advice = "a shorter name" if too_long else "a file in a folder that you can write"
        raise UserError(f"{where}: {error.strerror}; give {advice}") from None


def temporary_name(path: Path) -> Path:
    """The name of a file while it is written. A killed process leaves it; the next writer overwrites it."""
    return path.with_name(f".{path.name}.tmp")


def remove_durably(path: Path) -> None:
    """Remove a file if it exists. After the return a crash cannot bring it back, where folders can be flushed."""
    try:
        path.unlink()
    except FileNotFoundError:
        return
    _sync_folder(path.parent)


def write_atomic(path: Path, content: bytes) -> None:
    """Write `content` to `path` atomically."""
    with atomic_file(path) as file:
        file.write(content)


def write_parquet(path: Path, table: "pl.DataFrame", metadata: dict[str, str] | None = None) -> None:
    """Write a table as Parquet atomically, with `metadata` in the file.

    It is encoded in memory: polars reports a full disk in its own words.
    """
    content = io.BytesIO()
    table.write_parquet(content, metadata=metadata)
    write_atomic(path, content.getvalue())


def file_sha256(path: Path) -> str:
    """Hash a file's bytes: sha256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync_folder(folder: Path) -> None:
    """Flush a folder's names to disk, where its file system can. Raises OSError for any other failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in NO_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)
