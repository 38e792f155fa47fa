"""Real kills of real processes: committed shards stay, and the finished bytes are always the same."""

import contextlib
import dataclasses
import itertools
import json
import os
import random
import re
import runpy
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from folder_bytes import contents
from sessions import all_gone, session

from dfer.data_manifest.datasets import read_manifest
from dfer.pipeline.cache import plan
from dfer.pipeline.cache.info import make_info
from dfer.pipeline.cache.verify import verify
from dfer.pipeline.clip import extract_clip
from dfer.pipeline.config import ExtractConfig
from dfer.schemas.keypoints import DLIB18

KILLER = Path(__file__).parents[1] / "killer"
BIN = Path(sys.executable).parent
build = runpy.run_path(str(KILLER / "build.py"))["build"]


def environment(**more):
    """This environment with the killer's `sitecustomize.py` first."""
    path = os.pathsep.join([str(KILLER), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, **more}


@pytest.fixture(scope="module")
def tiny_clips(moving_astronaut, write_video, tmp_path_factory):
    """Five videos of two frames, and a text file named as one."""
    root = tmp_path_factory.mktemp("tiny") / "clips"
    for number in range(5):
        label = "happy" if number < 3 else "sad"
        write_video(root / label / f"{number}.mp4", moving_astronaut(2 + number)[-2:])
    (root / "sad" / "5.mp4").write_text("not a video")
    return root


def committed_files(cache, manifest, config):
    """Every file of the committed shards, with inode and time: those of a shard that is written again differ."""
    settings = make_info(manifest, config, DLIB18).settings_hash
    found = {}
    for shard in plan.plan_shards(manifest.clips, config.shard_clips):
        if plan.is_committed(cache, shard, settings):
            for path in cache.glob(f"*/{shard.index:05}.*"):
                found[path] = (path.stat().st_ino, path.stat().st_mtime_ns)
    return found


def check_resume(cache, manifest, config, finish, expected):
    """Finish a killed run: committed files stay, and the bytes are the expected ones."""
    before = committed_files(cache, manifest, config)
    finish()
    after = committed_files(cache, manifest, config)
    assert before.items() <= after.items()
    assert contents(cache) == expected
    assert list(verify(cache)) == []
    return len(before) // 4


@pytest.fixture(scope="module")
def extracted(tiny_clips, model_paths):
    """path → ExtractedClip of all tiny clips, and the settings."""
    config = ExtractConfig(frames=2, shard_clips=2)
    paths = read_manifest(tiny_clips).clips["path"]
    clips = {path: extract_clip(tiny_clips / path, config, model_paths) for path in paths}
    assert [clip.status for clip in clips.values()] == ["ok"] * 5 + ["undecodable"]
    return clips, config


@pytest.mark.parametrize("start", ["nothing", "a longer dataset's cache"])
def test_a_kill_at_any_step_of_the_protocol_loses_no_committed_shard(
    start, tiny_clips, extracted, killed_build, tmp_path
):
    clips, config = extracted
    full = read_manifest(tiny_clips)
    rows = full.clips[:3] if start == "nothing" else full.clips[[0, 1, 3]]
    manifest = dataclasses.replace(full, clips=rows, problems=())
    job = {"manifest": manifest, "config": config, "clips": clips}
    build_and_kill = killed_build(job)
    build(tmp_path / "fresh", **job)
    expected = contents(tmp_path / "fresh")
    if start != "nothing":
        build(tmp_path / "old", full, config, clips)
    kept = []
    for step in itertools.count(1):
        for moment in ("before", "after"):
            cache = tmp_path / f"{step}-{moment}"
            if start != "nothing":
                shutil.copytree(tmp_path / "old", cache)
            code = build_and_kill(f"{step}:{moment}", cache)
            if code == 0:  # the build has fewer steps
                assert contents(cache) == expected
                assert moment == "before" and step > 30
                assert set(kept) == ({0, 1, 2} if start == "nothing" else {1, 2})
                return
            assert code == -signal.SIGKILL
            if (cache / "cache.json").exists():
                assert {fault.file for fault in verify(cache)} <= {"seal.json"}
            kept.append(check_resume(cache, manifest, config, lambda c=cache: build(c, **job), expected))
            shutil.rmtree(cache)


OPTIONS = ("--frames", "1", "--shard-clips", "2", "--workers", "1", "--json")
CONFIG = ExtractConfig(frames=1, shard_clips=2)


@pytest.fixture
def start_extract(tiny_clips):
    def start(cache, **more):
        command = [BIN / "pipeline", "extract", tiny_clips, "--out", cache, *OPTIONS]
        return subprocess.Popen(
            command,
            env=environment(**more),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    return start


@pytest.fixture(scope="module")
def finish_extract(here, tiny_clips):
    """Run the command to its end, in this process."""

    def finish(cache):
        outcome = here("pipeline", "extract", tiny_clips, "--out", cache, *OPTIONS)
        assert (outcome.returncode, outcome.stderr) == (0, "")
        return json.loads(outcome.stdout)

    return finish


@pytest.fixture(scope="module")
def expected(finish_extract, tmp_path_factory):
    """The bytes of an extraction that nobody disturbs."""
    cache = tmp_path_factory.mktemp("undisturbed") / "cache"
    finish_extract(cache)
    return contents(cache)


def test_a_kill_at_a_random_moment_leaves_no_process_and_the_same_bytes(
    tiny_clips, start_extract, finish_extract, expected, tmp_path
):
    manifest = read_manifest(tiny_clips)
    started = time.monotonic()
    process = start_extract(tmp_path / "timed")
    process.communicate()
    duration = time.monotonic() - started
    generator = random.Random(7)
    workers_seen = 0
    for number in range(10):
        cache = tmp_path / str(number // 2)  # every cache is killed twice
        before = committed_files(cache, manifest, CONFIG)
        process = start_extract(cache)
        time.sleep(generator.uniform(0.2, duration))
        workers_seen += len(session(process.pid)) > 1
        process.kill()
        process.communicate()
        assert all_gone(process.pid), session(process.pid)
        assert before.items() <= committed_files(cache, manifest, CONFIG).items()
        if number % 2:
            check_resume(cache, manifest, CONFIG, lambda c=cache: finish_extract(c), expected)
    assert workers_seen >= 3


@pytest.mark.parametrize(("step", "kept"), [("2:before", 0), ("21:after", 1), ("49:before", 3)])
def test_a_kill_at_a_step_of_the_command_leaves_no_process_and_the_same_bytes(
    step, kept, tiny_clips, start_extract, finish_extract, expected, tmp_path
):
    cache = tmp_path / "cache"
    process = start_extract(cache, KILL_AT=step, KILL_BELOW=str(cache))
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert all_gone(process.pid), session(process.pid)
    manifest = read_manifest(tiny_clips)
    assert check_resume(cache, manifest, CONFIG, lambda: finish_extract(cache), expected) == kept


@pytest.mark.parametrize(
    ("number", "to_all"),
    [
        (signal.SIGINT, True),
        (signal.SIGINT, False),
        (signal.SIGTERM, False),
        (signal.SIGUSR1, True),  # SLURM, before a job's time is over
        (signal.SIGHUP, True),  # a closed terminal
    ],
)
def test_an_interrupted_run_gives_advice_and_leaves_no_process(
    number, to_all, start_extract, finish_extract, expected, tmp_path
):
    cache = tmp_path / "cache"
    process = start_extract(cache)
    while not (cache / "commits" / "00000.json").exists():
        assert process.poll() is None
        time.sleep(0.001)
    (os.killpg if to_all else os.kill)(process.pid, number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert err == "pipeline: interrupted; run the same command again to continue\n" and out == ""
    assert all_gone(process.pid)
    assert not list(cache.rglob("*.tmp"))
    assert finish_extract(cache)["extracted"] <= 4
    assert contents(cache) == expected


def test_processes_that_an_extraction_starts_never_see_ctrl_c(start_extract, tmp_path):
    process = start_extract(tmp_path / "cache")
    blocked = {}
    while process.poll() is None:
        for child in psutil.Process(process.pid).children():
            with contextlib.suppress(OSError):  # it has just ended
                status = Path(f"/proc/{child.pid}/status").read_text()
                masks = dict(re.findall(r"^(Sig(?:Blk|Ign)):\s+([0-9a-f]+)$", status, re.MULTILINE))
                blocked.setdefault(child.pid, set()).add(
                    any(int(mask, 16) >> (signal.SIGINT - 1) & 1 for mask in masks.values())
                )
        time.sleep(0.001)
    process.communicate()
    assert len(blocked) >= 3  # two resource trackers and the worker
    assert set.union(*blocked.values()) == {True}


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 100 kB, and a function that makes it larger."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options):
        return subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True)

    if not shutil.which("mount") or mount("size=100k").returncode:
        pytest.skip("needs the right to mount a file system")
    yield folder, lambda: mount("remount,size=10m")
    subprocess.run(["umount", folder], check=True)


def test_after_a_full_disk_the_cache_can_be_finished(here, sample_clips, small_disk, tmp_path):
    disk, enlarge = small_disk
    cache = disk / "cache"
    # One worker: of two that write at the same time, neither may find room.
    arguments = (
        "pipeline",
        "extract",
        sample_clips,
        "--shard-clips",
        2,
        "--frames",
        4,
        "--workers",
        1,
        "--out",
    )
    outcome = here(*arguments, cache)
    assert outcome.returncode == 1
    assert outcome.stderr == (
        f"pipeline: cannot write the cache {cache}: No space left on device; "
        "make room, then run the same command again; finished shards are kept\n"
    )
    assert (cache / "commits" / "00000.json").exists() and not list(cache.rglob("*.tmp"))
    enlarge()
    again = here(*arguments, cache, "--json")
    assert again.returncode == 0 and json.loads(again.stdout)["extracted"] == 4
    assert here(*arguments, tmp_path / "undisturbed").returncode == 0
    assert contents(cache) == contents(tmp_path / "undisturbed")


def test_a_file_size_limit_is_reported_in_one_line(sample_clips, tmp_path):
    limited = 'ulimit -f 32; exec "$0" extract "$1" --out "$2" --frames 8'
    command = ["bash", "-c", limited, BIN / "pipeline", sample_clips, tmp_path / "cache"]
    outcome = subprocess.run(command, capture_output=True, text=True)
    assert outcome.returncode == 1
    (line,) = outcome.stderr.splitlines()
    assert "File too large; make room" in line


def test_a_damaged_shard_table_is_reported_with_advice(tiny_clips, finish_extract, tmp_path, here):
    cache = tmp_path / "cache"
    finish_extract(cache)
    path = cache / "clips" / "00001.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    outcome = here("pipeline", "extract", tiny_clips, "--out", cache, *OPTIONS)
    (line,) = outcome.stderr.splitlines()
    assert outcome.returncode == 1 and f"remove {cache / 'commits' / '00001.json'} and run again" in line
    (cache / "commits" / "00001.json").unlink()
    assert finish_extract(cache)["extracted"] == 2
    assert list(verify(cache)) == []
