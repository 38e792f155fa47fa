import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dfer.schemas.support.errors import UserError
from dfer.schemas.support.files import atomic_file, file_sha256, target_file, write_atomic, writing


def test_a_failed_write_leaves_only_the_old_file(tmp_path):
    path = tmp_path / "file"
    write_atomic(path, b"old")
    with pytest.raises(RuntimeError), atomic_file(path) as file:
        file.write(b"half of the n")
        raise RuntimeError("stopped")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_file_sha256_hashes_the_bytes(tmp_path):
    write_atomic(tmp_path / "abc", b"abc")
    # FIPS 180-2, appendix B.1
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert file_sha256(tmp_path / "abc") == expected


def test_a_full_disk_is_reported_with_the_name_of_the_file(tmp_path):
    program = """
import resource, sys
from pathlib import Path
import polars as pl
from dfer.schemas.support.files import write_atomic, write_parquet
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
for write in (lambda path: write_atomic(path, bytes(5000)),
              lambda path: write_parquet(path, pl.DataFrame({"a": range(5000)}))):
    try:
        write(Path(sys.argv[1]))
    except OSError as error:
        print(error.strerror, error.filename)
"""
    command = [sys.executable, "-c", program, str(tmp_path / "file")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.splitlines() == [f"File too large {tmp_path / 'file'}"] * 2
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("folder", ["none", "file"])
def test_a_folder_that_cannot_be_written_is_reported_with_the_name_of_the_file(tmp_path, folder):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError) as caught:
        write_atomic(tmp_path / folder / "new", b"")
    assert caught.value.filename == str(tmp_path / folder / "new")


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "make room, then start again"),
        (errno.EDQUOT, "make room"),
        (errno.EACCES, "another --out"),
    ],
)
def test_a_write_error_gives_one_line_with_advice(number, advice):
    expected = f"cannot write the cache c: {os.strerror(number)}; .*{advice}"
    with pytest.raises(UserError, match=expected), writing("the cache c", retry="start again"):
        raise OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a" * 251, "give a shorter name"),  # it fits, but not the name that it has while it is written
        ("a" * 300, "give a shorter name"),
        ("to nowhere", "no such folder: .*/nowhere$"),
        ("to itself", "leads to itself"),
        ("nowhere/a", "no such folder: .*/nowhere$"),
        ("file/a", "no such folder: .*/file$"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused_before_there_is_something_to_write(tmp_path, name, said):
    (tmp_path / "file").write_text("")
    (tmp_path / "to nowhere").symlink_to("nowhere/a")
    (tmp_path / "to itself").symlink_to("to itself")
    with pytest.raises(UserError, match=said):
        target_file(tmp_path / name)
    longest = target_file(tmp_path / ("a" * 250))
    write_atomic(longest, b"")
    assert longest.exists()


NO_SYNC = Path(__file__).parents[2] / "helpers" / "no_folder_sync"


@pytest.mark.parametrize(
    ("number", "tolerated"),
    [
        (errno.EINVAL, True),
        (errno.ENOTSUP, True),
        (errno.EBADF, True),
        (errno.EIO, False),
        (errno.ENOSPC, False),
    ],
)
def test_a_folder_that_cannot_be_flushed_is_tolerated_and_a_failing_disk_is_not(
    cli, tmp_path, number, tolerated
):
    environment = {"PYTHONPATH": str(NO_SYNC), "FOLDER_SYNC_ERRNO": str(number)}
    program = """
import sys
from pathlib import Path
from dfer.schemas.support.files import remove_durably, write_atomic
path = Path(sys.argv[1])
for act in (lambda: write_atomic(path, b"new"), lambda: remove_durably(path)):
    try:
        act()
    except OSError as error:
        print(error.errno)
"""
    outcome = cli("python", "-c", program, tmp_path / "file", **environment)
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert outcome.stdout.split() == ([] if tolerated else [str(number)] * 2)


def test_a_manifest_is_written_to_a_folder_that_cannot_be_flushed(cli, tmp_path):
    (tmp_path / "clips" / "joy").mkdir(parents=True)
    (tmp_path / "clips" / "joy" / "a.mp4").write_bytes(b"0")
    call = ("pipeline", "manifest", tmp_path / "clips", "--out", tmp_path / "manifest.parquet")
    failing = cli(*call, PYTHONPATH=str(NO_SYNC), FOLDER_SYNC_ERRNO=str(errno.EIO))
    assert failing.returncode == 1 and os.strerror(errno.EIO) in failing.stderr.splitlines()[-1]
    outcome = cli(*call, PYTHONPATH=str(NO_SYNC), FOLDER_SYNC_ERRNO=str(errno.EINVAL))
    assert outcome.returncode == 0 and (tmp_path / "manifest.parquet").exists(), outcome.stderr
