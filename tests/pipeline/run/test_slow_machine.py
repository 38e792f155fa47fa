"""A slow, busy or stopped machine is not a clip's fault, and a run that came to nothing leaves nothing."""

import os
import shutil
import signal
import subprocess
import time

import psutil
import pytest
from folder_bytes import contents

from dfer.schemas.read_cache import read_clips

SMALL = ("--frames", 2, "--workers", 1)
ADVICE = "run `pipeline doctor`, or raise --loading-timeout"


@pytest.fixture
def clips(astronaut_video, tmp_path):
    """clips(*names) → a folder with copies of a good video under these names."""

    def make(*names):
        folder = tmp_path / "clips"
        folder.mkdir(exist_ok=True)
        for name in names:
            shutil.copy(astronaut_video, folder / f"{name}.mp4")
        return folder

    return make


def resume_when_stopped(process, after):
    """Wait until a child of the process has been stopped for some seconds, and continue it."""
    stopped_since = None
    while stopped_since is None or time.monotonic() < stopped_since + after:
        assert process.poll() is None, process.communicate()
        stopped = [c for c in psutil.Process(process.pid).children() if c.status() == psutil.STATUS_STOPPED]
        if stopped and stopped_since is None:
            stopped_since = time.monotonic()
        time.sleep(0.02)
    stopped[0].send_signal(signal.SIGCONT)


def test_a_worker_that_gets_no_cpu_while_it_loads_or_extracts_is_waited_for(
    program, faulty_decoder, clips, tmp_path
):
    arguments = ["--out", tmp_path / "cache", *SMALL, "--loading-timeout", 1.5, "--clip-timeout", 1.5]
    command = [program("pipeline"), "extract", clips("a_stop", "b"), *arguments]
    environment = {**os.environ, **faulty_decoder, "DECORD_LOADS": "stopped"}
    with subprocess.Popen(
        [*map(str, command)], env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        resume_when_stopped(process, 2)  # it loads
        resume_when_stopped(process, 2)  # it extracts the first clip
        _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert read_clips(tmp_path / "cache")["status"].to_list() == ["ok", "ok"]


def test_loading_is_no_part_of_a_clips_time_even_in_a_process_that_replaces_a_grown_one(
    faulty_here, clips, tmp_path, monkeypatch
):
    monkeypatch.setenv("DECORD_LOADS", "slow")
    # The second clip kills its process once. Were it also charged for loading, it would fail twice.
    source = clips("a_grow", "b_once")
    outcome = faulty_here(
        "pipeline", "extract", source, "--out", tmp_path / "cache", *SMALL, "--clip-timeout", 2
    )
    assert outcome.returncode == 0, outcome.stderr
    assert read_clips(tmp_path / "cache").select("status", "reason").rows() == [("ok", None)] * 2


@pytest.mark.parametrize(
    ("manner", "message"),
    [
        ("standing", f"worker processes stand still for 0.3 s while they load the models; {ADVICE}"),
        (
            "dying",
            "worker processes die while they load the models; run `pipeline doctor`, or use fewer --workers",
        ),
        ("endless", f"worker processes have not loaded the models after 3 s; {ADVICE}"),
    ],
)
def test_a_run_that_cannot_load_the_models_says_how_they_fail_and_leaves_no_folder(
    manner, message, faulty_here, clips, tmp_path, monkeypatch
):
    monkeypatch.setenv("DECORD_LOADS", manner)
    arguments = ("pipeline", "extract", clips("a"), "--out", tmp_path / "new" / "cache", *SMALL)
    outcome = faulty_here(*arguments, "--loading-timeout", 0.3)
    assert outcome.returncode == 1 and message in outcome.stderr, outcome.stderr
    assert not (tmp_path / "new").exists()


def test_after_a_failed_start_the_folder_takes_other_settings_and_a_cache_with_shards_stays(
    faulty_here, clips, tmp_path, monkeypatch
):
    cache = tmp_path / "cache"
    cache.mkdir()
    source, limit = clips("a"), ("--loading-timeout", 0.5)
    monkeypatch.setenv("DECORD_LOADS", "dying")
    assert faulty_here("pipeline", "extract", source, "--out", cache, *SMALL, *limit).returncode == 1
    assert list(cache.iterdir()) == []
    monkeypatch.delenv("DECORD_LOADS")
    done = faulty_here(
        "pipeline", "extract", source, "--out", cache, *SMALL, "--size", 96, "--shard-clips", 1
    )
    assert done.returncode == 0, done.stderr
    shards = {path: content for path, content in contents(cache).items() if "/" in str(path)}
    assert shards
    clips("b")
    monkeypatch.setenv("DECORD_LOADS", "dying")
    again = faulty_here(
        "pipeline", "extract", source, "--out", cache, *SMALL, "--size", 96, "--shard-clips", 1
    )
    assert again.returncode == 1
    assert shards.items() <= contents(cache).items()
