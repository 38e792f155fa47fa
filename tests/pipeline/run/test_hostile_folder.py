"""Modules in the current folder that have our names, or those of other people's scripts, are never imported."""

import os
import shutil
import subprocess
import sys

import pytest
from folder_bytes import contents

NAMES = ("dfer", "pipeline", "schemas", "train")
HOSTILE = """
from pathlib import Path
Path({marker!r}).touch()
raise SystemExit("the wrong {name}.py was imported")
"""
SETTINGS = ("--frames", "2", "--shard-clips", "1")
# What a user writes to extract on the cores of one machine with Dask.
DASK = """
import subprocess, sys
from distributed import LocalCluster

if __name__ == "__main__":
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None, host="127.0.0.1") as cluster:
        sys.exit(subprocess.run([*sys.argv[1:], "--dask", cluster.scheduler_address]).returncode)
"""


@pytest.fixture(scope="module")
def clips(astronaut_video, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile") / "clips" / "label"
    folder.mkdir(parents=True)
    for name in ("a", "b"):
        shutil.copy(astronaut_video, folder / f"{name}.mp4")
    return folder.parent


@pytest.fixture(scope="module")
def expected(here, clips, tmp_path_factory):
    """The bytes of an extraction from a harmless folder."""
    cache = tmp_path_factory.mktemp("harmless") / "cache"
    assert here("pipeline", "extract", clips, "--out", cache, *SETTINGS).returncode == 0
    return contents(cache)


@pytest.fixture
def run_in_hostile_folder(tmp_path):
    """Run a command in a folder with files of our packages' names; fail if one of them is imported."""
    folder, markers = tmp_path / "hostile", tmp_path / "markers"
    folder.mkdir()
    markers.mkdir()
    for name in NAMES:
        (folder / f"{name}.py").write_text(HOSTILE.format(marker=str(markers / name), name=name))

    def run(*command):
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        outcome = subprocess.run(
            [*map(str, command)], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
        )
        assert not list(markers.iterdir()), outcome.stderr
        return outcome

    return run


def test_the_files_would_be_imported_by_a_careless_call(run_in_hostile_folder, tmp_path):
    with pytest.raises(AssertionError):
        run_in_hostile_folder(sys.executable, "-c", "import dfer.pipeline.cli")
    assert [path.name for path in (tmp_path / "markers").iterdir()] == ["dfer"]


def test_an_extraction_imports_nothing_from_the_current_folder(
    run_in_hostile_folder, program, clips, expected, tmp_path
):
    cache = tmp_path / "cache"
    outcome = run_in_hostile_folder(
        program("pipeline"), "extract", clips, "--out", cache, *SETTINGS, "--workers", "2"
    )
    assert outcome.returncode == 0, outcome.stderr
    assert contents(cache) == expected


def test_dask_workers_import_nothing_from_the_current_folder(
    run_in_hostile_folder, program, clips, expected, tmp_path
):
    cache, script = tmp_path / "cache", tmp_path / "dask_extract.py"
    script.write_text(DASK)
    outcome = run_in_hostile_folder(
        sys.executable, script, program("pipeline"), "extract", clips, "--out", cache, *SETTINGS
    )
    assert outcome.returncode == 0, outcome.stderr
    assert contents(cache) == expected
