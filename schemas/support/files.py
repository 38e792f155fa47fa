"""Files that are whole or absent: written under a temporary name, flushed to the disk, then renamed."""

import errno
import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from dfer.schemas.support.errors import UserError

if TYPE_CHECKING:
    import polars as pl


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Open a binary file that takes its name only when the block ends without an exception.

    The content is on the disk before the name is (fsync, rename, fsync of the folder), so that a machine
    that stops at any moment leaves the old file, the new one, or a `.tmp` that nobody reads.
    An OSError that comes of it names `path`.
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
        # Where it cannot be made it cannot be removed either, and the first reason counts.
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and error.filename in (None, str(temporary)):
            error.filename = str(path)  # a full disk names none, and nobody knows the temporary name
        raise


@contextmanager
def writing(what: str, retry: str) -> Iterator[None]:
    """Turn an OSError into one line on what could not be written and what to do.

    what: is written, such as "the cache faces"
    retry: what to do once there is room again

    Raises UserError instead of OSError.
    """
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        advice = f"make room, then {retry}" if full else "give another --out"
        raise UserError(f"cannot write {what}: {error.strerror}; {advice}") from None


def target_file(path: Path, option: str = "--out", suffixes: tuple[str, ...] = ()) -> Path:
    """Where a file that an option names is to be written, with links followed.

    suffixes: how its name may end, in lower case; any where there are none.
    Raises UserError where no file can be put there: what is there and is no file stays.
    """
    if suffixes and path.suffix.lower() not in suffixes:
        raise UserError(f"{option} {path}: its name must end in {' or '.join(suffixes)}")
    target = path.resolve()
    if not target.parent.is_dir():
        raise UserError(f"{option} {path}: no such folder: {path.parent}")
    if target.is_dir():
        raise UserError(f"{option} {path} is a folder; name a file in it")
    if target.exists() and not target.is_file():
        raise UserError(f"{option} {path} is there and is not a file; name another one")
    return target


def temporary_name(path: Path) -> Path:
    """Where a file lies while it is written. A killed process leaves it; the next writer takes it over."""
    return path.with_name(f".{path.name}.tmp")


def remove_durably(path: Path) -> None:
    """Remove a file if it is there, and return only when a stopping machine cannot bring it back."""
    try:
        path.unlink()
    except FileNotFoundError:
        return
    _sync_folder(path.parent)


def write_atomic(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all."""
    with atomic_file(path) as file:
        file.write(content)


def write_parquet(path: Path, table: "pl.DataFrame") -> None:
    """Write a table as Parquet, whole or not at all; by way of memory, as polars itself would say in a way of its own
    that the disk is full."""
    content = io.BytesIO()
    table.write_parquet(content)
    write_atomic(path, content.getvalue())


def file_sha256(path: Path) -> str:
    """The sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
