"""A machine without the system libraries that MediaPipe loads: files that cannot be loaded stand in their place."""

import json

import polars as pl
import pytest

from dfer.pipeline.face.mediapipe_tasks import SYSTEM_LIBRARIES
from dfer.schemas.read_cache import read_cache_info, read_clips

NEEDED = "apt-get install libegl1 libgles2 libgl1 libglib2.0-0"
PACKAGES = f"on Debian or Ubuntu: {NEEDED}; without root: extract with --detector hog"


@pytest.fixture
def bare(cli, tmp_path):
    """Run a program where the system libraries do not load."""
    folder = tmp_path / "libraries"
    folder.mkdir()
    for name in SYSTEM_LIBRARIES:
        (folder / name).touch()
    return lambda *arguments: cli(*arguments, LD_LIBRARY_PATH=str(folder))


@pytest.fixture
def source(astronaut_video, tmp_path):
    (tmp_path / "clips" / "happy").mkdir(parents=True)
    (tmp_path / "clips" / "happy" / "astronaut.mp4").symlink_to(astronaut_video)
    return tmp_path / "clips"


def test_an_extraction_names_the_packages_and_the_way_without_them_and_leaves_no_folder(
    bare, source, tmp_path
):
    outcome = bare("pipeline", "extract", source, "--out", tmp_path / "cache")
    assert outcome.returncode == 1 and outcome.stdout == ""
    *_, line = outcome.stderr.splitlines()
    assert line.startswith("pipeline: cannot load mediapipe: ") and line.endswith(PACKAGES)
    assert not (tmp_path / "cache").exists()


def test_doctor_names_the_packages_and_the_way_without_them(bare):
    outcome = bare("pipeline", "doctor", "--json")
    checks = {check["name"]: check for check in json.loads(outcome.stdout)["checks"]}
    assert outcome.returncode == 1
    for name in ("mediapipe", "system libraries for mediapipe"):
        assert not checks[name]["ok"] and checks[name]["fix"] == PACKAGES


def test_the_hog_detector_and_all_that_reads_a_cache_work_without_the_libraries(bare, source, tmp_path):
    cache = tmp_path / "cache"
    outcome = bare("pipeline", "extract", source, "--out", cache, "--detector", "hog", "--frames", 4)
    assert outcome.returncode == 0, outcome.stderr
    assert read_clips(cache).select("status", "frames_with_face").rows() == [("ok", 4)]
    table = pl.read_parquet(cache / "landmarks" / "00000.parquet")
    assert set(table["detector"]) <= {"hog", "tracker"} and "hog" in set(table["detector"])
    assert read_cache_info(cache).settings["detector"] == "hog"
    for command in (("verify", cache), ("report", cache, "--out", tmp_path / "r.html"), ("manifest", source)):
        assert bare("pipeline", *command).returncode == 0


def test_a_cache_of_one_detector_is_neither_continued_nor_reused_with_the_other(here, source, tmp_path):
    cache, other = tmp_path / "cache", ("--detector", "hog", "--frames", 2)
    assert here("pipeline", "extract", source, "--out", cache, "--frames", 2).returncode == 0
    continued = here("pipeline", "extract", source, "--out", cache, *other)
    assert "--detector blazeface, this command asks for --detector hog" in continued.stderr
    reused = here("pipeline", "extract", source, "--out", tmp_path / "other", *other, "--reuse", cache)
    assert reused.returncode == 1 and "its landmarks were made with other settings" in reused.stderr


def test_expression_scores_without_mediapipe_are_refused(here, source, tmp_path):
    outcome = here(
        "pipeline", "extract", source, "--out", tmp_path / "c", "--detector", "hog", "--blendshapes"
    )
    assert outcome.returncode == 1
    assert (
        outcome.stderr == "pipeline: --blendshapes needs MediaPipe, which --detector hog avoids; drop one\n"
    )
