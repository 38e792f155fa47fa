"""Real processes on one cache at the same time: which are let in, which are refused, and what they leave."""

import contextlib
import os
import pickle
import shutil
import subprocess
import sys
import time

import pytest
from folder_bytes import contents

from dfer.data_manifest.datasets import read_manifest
from dfer.pipeline.cache.verify import verify
from dfer.pipeline.config import ExtractConfig


@pytest.fixture(scope="module")
def source(astronaut_video, tmp_path_factory):
    """Three good clips, and one that hangs its decoder until there is a `.calm` file."""
    folder = tmp_path_factory.mktemp("lock") / "clips" / "label"
    folder.mkdir(parents=True)
    for name in ("a", "b", "c", "d_moody"):
        shutil.copy(astronaut_video, folder / f"{name}.mp4")
    return folder.parent


OPTIONS = ("--frames", "2", "--shard-clips", "1", "--workers", "1")


@pytest.fixture
def start(program, faulty_decoder):
    """start(source, cache, *options) → a running extraction; the test ends them all."""
    with contextlib.ExitStack() as stack:

        def call(source, cache, *options):
            command = [program("pipeline"), "extract", source, "--out", cache, *OPTIONS, *options]
            process = subprocess.Popen(
                [*map(str, command)],
                env={**os.environ, **faulty_decoder},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            stack.callback(process.communicate)
            stack.callback(process.kill)
            return process

        yield call


def wait_for(*paths):
    deadline = time.monotonic() + 60
    while not all(path.exists() for path in paths):
        assert time.monotonic() < deadline, paths
        time.sleep(0.02)


def commit(cache, index):
    return cache / "commits" / f"{index:05}.json"


def refused(outcome, cache):
    assert outcome.returncode == 1 and outcome.stdout == "", outcome
    line = f"pipeline: {cache}: another extraction is using it; run this again when that one has ended\n"
    assert outcome.stderr.endswith(line)
    return True


def test_a_second_extraction_is_refused_and_changes_nothing(faulty_here, start, source, tmp_path):
    cache = tmp_path / "cache"
    first = start(source, cache)
    wait_for(commit(cache, 2))  # and now it hangs in the fourth clip
    before = contents(cache)
    smaller = shutil.copytree(source, tmp_path / "smaller")
    (smaller / "label" / "a.mp4").unlink()  # which makes another manifest
    for arguments in (("extract", source), ("extract", smaller), ("extract", smaller, "--slice", "0/2")):
        outcome = faulty_here("pipeline", *arguments, "--out", cache, *OPTIONS)
        assert refused(outcome, cache), arguments
    assert refused(faulty_here("pipeline", "finalize", cache), cache)
    assert contents(cache) == before and first.poll() is None
    first.kill()
    first.wait()
    (smaller / "label" / "d_moody.calm").touch()
    after = faulty_here("pipeline", "extract", smaller, "--out", cache, *OPTIONS)
    assert after.returncode == 0, after.stderr  # a killed process leaves no lock
    assert list(verify(cache)) == []


def test_slices_run_at_the_same_time_and_lock_everything_else_out(faulty_here, start, source, tmp_path):
    cache, fresh = tmp_path / "cache", tmp_path / "fresh"
    source = shutil.copytree(source, tmp_path / "source")
    hanging = start(source, cache, "--slice", "1/2")
    wait_for(commit(cache, 1))  # and now it hangs in the fourth clip
    other = faulty_here("pipeline", "extract", source, "--out", cache, *OPTIONS, "--slice", "0/2")
    assert other.returncode == 0, other.stderr
    assert commit(cache, 0).exists() and commit(cache, 2).exists() and hanging.poll() is None
    assert refused(faulty_here("pipeline", "extract", source, "--out", cache, *OPTIONS), cache)
    assert refused(faulty_here("pipeline", "finalize", cache), cache)
    hanging.kill()
    hanging.wait()
    (source / "label" / "d_moody.calm").touch()
    last = start(source, cache, "--slice", "1/2")
    assert last.wait() == 0
    assert faulty_here("pipeline", "finalize", cache).returncode == 0
    assert start(source, fresh).wait() == 0
    assert contents(cache) == contents(fresh)


PREPARE = """
import pickle, sys, time
from pathlib import Path
from dfer.pipeline.run.extract import prepared_cache
from dfer.schemas.keypoints import DLIB18

folder = Path(sys.argv[1])
job = pickle.loads((folder / "job").read_bytes())
(folder / f"ready{sys.argv[2]}").touch()
while not (folder / "go").exists():
    time.sleep(0.001)
for number in range(40):
    with prepared_cache(cache=folder / f"cache{number}", keypoints=DLIB18, among_slices=True, **job):
        time.sleep(0.001)
"""


def test_slices_that_start_together_prepare_the_cache_once(source, tmp_path):
    manifest, config = read_manifest(source), ExtractConfig(shard_clips=1)
    (tmp_path / "job").write_bytes(pickle.dumps({"manifest": manifest, "config": config}))
    command = [sys.executable, "-c", PREPARE, str(tmp_path)]
    slices = [subprocess.Popen([*command, str(i)], stderr=subprocess.PIPE, text=True) for i in range(4)]
    wait_for(*(tmp_path / f"ready{i}" for i in range(4)))
    (tmp_path / "go").touch()
    for process in slices:
        _, err = process.communicate(timeout=120)
        assert (process.returncode, err) == (0, "")
    first = contents(tmp_path / "cache0")
    assert set(map(str, first)) == {"cache.json", "manifest.parquet"}
    assert all(contents(tmp_path / f"cache{number}") == first for number in range(40))


def test_different_settings_are_named_even_while_slices_are_running(faulty_here, start, source, tmp_path):
    cache = tmp_path / "cache"
    start(source, cache, "--slice", "3/4")
    wait_for(cache / "manifest.parquet")
    options = (*OPTIONS, "--size", 96, "--slice", "0/4")
    outcome = faulty_here("pipeline", "extract", source, "--out", cache, *options)
    assert outcome.returncode == 1 and "--size 128, this command asks for --size 96" in outcome.stderr


def test_an_output_that_is_not_a_folder_is_refused_in_one_line(here, sample_clips, tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name, message in (("file", "is not a landmark cache"), ("dangling", "cannot write the cache")):
        outcome = here("pipeline", "extract", sample_clips, "--out", tmp_path / name)
        (line,) = outcome.stderr.splitlines()
        assert outcome.returncode == 1 and message in line
    assert (tmp_path / "file").read_text() == "mine"
    assert "no such cache: " in here("pipeline", "finalize", tmp_path / "missing").stderr
