"""Files in the current folder are never imported, whatever their names."""

import os
import subprocess
import sys

import made_up
import pytest

# Our packages' names, and modules that Python itself imports at the start of a worker process.
NAMES = ("train", "pipeline", "schemas", "data_manifest", "dfer", "threading", "socket", "pickle")
TRAP = """import pathlib

pathlib.Path(__file__).with_suffix(".imported").touch()
raise ImportError("imported from the current folder")
"""


@pytest.fixture
def hostile_folder(tmp_path):
    folder = tmp_path / "hostile"
    folder.mkdir()
    for name in NAMES:
        (folder / f"{name}.py").write_text(TRAP)
    return folder


@pytest.fixture
def environment():
    """Of a user who has not asked Python for safe paths."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}


def imported(folder):
    return sorted(path.stem for path in folder.glob("*.imported"))


def test_the_traps_catch_what_imports_from_the_current_folder(hostile_folder, environment):
    command = [sys.executable, "-c", "import dfer.train.cli"]
    outcome = subprocess.run(command, cwd=hostile_folder, env=environment, capture_output=True, text=True)
    assert outcome.returncode == 1 and imported(hostile_folder) == ["dfer"]


def test_torchrun_and_loader_workers_import_nothing_from_the_current_folder(
    program, hostile_folder, environment, tmp_path
):
    cache = made_up.cache(tmp_path, "made-up", [made_up.clip("ab"[n % 2], n) for n in range(8)])
    start = (program("torchrun"), "--nproc-per-node", 2, "--standalone", "--no-python", program("train"))
    call = ("run", cache, "--out", tmp_path / "run", *made_up.TINY, "--loader-workers", 1)
    outcome = subprocess.run(
        [*map(str, (*start, *call))], cwd=hostile_folder, env=environment, capture_output=True, text=True
    )
    assert outcome.returncode == 0, outcome.stderr
    assert imported(hostile_folder) == []
    assert (tmp_path / "run" / "predictions.parquet").exists()
