import subprocess
import time

import made_up
import numpy as np
import polars as pl
import psutil
import pytest
import small_shm
import torch
from polars.testing import assert_frame_equal
from synthetic_cache import write_cache

from dfer.schemas.keypoints import KEYPOINT_SETS
from dfer.train.config import DataConfig
from dfer.train.data.caches import open_pool
from dfer.train.data.dataset import Request, ViewSpec, clip_dataset
from dfer.train.data.loader import Loader
from dfer.train.data.sampling import Augmentation, epoch_order
from dfer.train.engine.forward import network_input


def test_worker_processes_load_the_same_batches_as_this_process(sample_cache):
    cache = open_pool(sample_cache)
    spec = ViewSpec(frames=5, augmentation=Augmentation(seed=0, frames=5, flip=True, color_jitter=0.3))
    dataset = clip_dataset(cache, cache.clips, cache.labels, spec)
    here, workers = (Loader(dataset, count, torch.device("cpu")) for count in (0, 2))
    for epoch in range(2):
        order = epoch_order(6, 0, epoch).tolist()
        plan = [
            [Request(clip, epoch, n) for n, clip in enumerate(order)][part]
            for part in (slice(4), slice(4, 6))
        ]
        batches = list(zip(here.batches(plan), workers.batches(iter(plan)), strict=True))
        assert [len(mine.labels) for mine, _ in batches] == [4, 2]
        for mine, theirs in batches:
            assert all(
                torch.equal(a, b) for a, b in zip(mine, theirs, strict=True) if a is not None or b is not None
            )
        assert torch.cat([mine.clips for mine, _ in batches]).tolist() == order


def test_batches_of_a_cache_with_another_keypoint_set_are_mirrored_by_that_set(tmp_path, monkeypatch):
    monkeypatch.setitem(KEYPOINT_SETS, "ten", made_up.TEN)
    clip = made_up.clip("a", 0, points=10)
    clip.keypoints[:] = np.arange(10)[:, None]  # key-point k is at (k, k)
    cache = open_pool(write_cache(tmp_path / "cache", [clip], keypoints=made_up.TEN))
    dataset = clip_dataset(cache, cache.clips, cache.labels, ViewSpec(frames=2))
    (batch,) = Loader(dataset, 0, torch.device("cpu")).batches([[Request(0)]])
    assert batch.keypoints.shape == (1, 2, 10, 2)
    config = DataConfig(num_frames=2, image_size=32, crop_fraction=1)
    mirrored = network_input(batch._replace(flips=torch.tensor([True])), config).keypoints
    x, y = (32 * mirrored[0, 0] - 0.5).unbind(1)
    assert y.round().int().tolist() == list(made_up.TEN.flip)
    assert (31 - x).round().int().tolist() == list(made_up.TEN.flip)


def test_a_request_that_does_not_count_has_no_label(sample_cache):
    cache = open_pool(sample_cache)
    dataset = clip_dataset(cache, cache.clips, cache.labels, ViewSpec(frames=2))
    plan = [[Request(3), Request(3, counts=False)]]
    (batch,) = Loader(dataset, 0, torch.device("cpu")).batches(plan)
    assert batch.labels.tolist() == [3, -1]
    assert torch.equal(batch.frames[0], batch.frames[1])


def test_a_short_clip_repeats_frames(sample_cache):
    cache = open_pool(sample_cache)
    plan = [[Request(0)]]
    once, twice = (
        next(iter(Loader(dataset, 0, torch.device("cpu")).batches(plan)))
        for frames in (32, 64)
        for dataset in [clip_dataset(cache, cache.clips, cache.labels, ViewSpec(frames=frames))]
    )
    assert torch.equal(once.frames.repeat_interleave(2, 1), twice.frames)
    assert torch.equal(once.keypoints.repeat_interleave(2, 1), twice.keypoints)


@pytest.mark.parametrize("moment", [0, 1])
def test_workers_end_if_their_run_is_killed_while_they_start(program, tmp_path, moment):
    cache = made_up.cache(tmp_path, "made-up", [made_up.clip("ab"[n % 2], n) for n in range(4)])
    call = ("run", cache, "--out", tmp_path / "run", *made_up.TINY, "--holdout", 0.5, "--loader-workers", 2)
    command = list(map(str, (program("train"), *call)))
    run = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    workers = []
    while len(workers) < 2:
        assert run.poll() is None
        time.sleep(0.01)
        workers = [
            child for child in psutil.Process(run.pid).children() if "spawn_main" in str(child.cmdline())
        ]
    time.sleep(moment)  # they take longer than that to import torch
    run.kill()
    run.wait()
    _, left = psutil.wait_procs(workers, timeout=30)
    for worker in left:
        worker.kill()
    assert not left


@pytest.fixture
def many_frames(tmp_path):
    """Arguments of a training whose batches take 6 MB each."""
    clips = [made_up.clip("ab"[n % 2], n, size=128) for n in range(16)]
    cache = made_up.cache(tmp_path, "made-up", clips)
    return ("run", cache, *made_up.TINY, "--num-frames", 16, "--loader-workers", 2)


def test_frames_need_no_room_in_shared_memory(program, many_frames, tmp_path, here):
    small = small_shm.run("1m", program("train"), *many_frames, "--out", tmp_path / "small")
    assert small.returncode == 0, small.stderr
    assert here("train", *many_frames, "--out", tmp_path / "usual", "--loader-workers", 0).returncode == 0
    one, other = (pl.read_parquet(tmp_path / name / "predictions.parquet") for name in ("small", "usual"))
    assert_frame_equal(one, other)


def test_no_room_for_locks_is_one_line_and_the_folder_is_not_claimed(program, many_frames, tmp_path):
    outcome = small_shm.run("4k", program("train"), *many_frames, "--out", tmp_path / "run")
    (line,) = outcome.stderr.splitlines()
    assert outcome.returncode == 1 and "/dev/shm: No space left" in line and "--shm-size" in line
    assert not (tmp_path / "run").exists()


def test_a_killed_worker_process_is_one_line(program, many_frames, tmp_path):
    command = [*map(str, (program("train"), *many_frames, "--out", tmp_path / "run", "--epochs", 1000))]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as run:
        while not (tmp_path / "run" / "last.pt").exists():
            assert run.poll() is None
            time.sleep(0.01)
        workers = [c for c in psutil.Process(run.pid).children() if "spawn_main" in str(c.cmdline())]
        workers[0].kill()
        stderr = run.communicate()[1]
    last = stderr.splitlines()[-1]
    assert run.returncode == 1 and "was killed" in last and "--loader-workers" in last, stderr
    assert "Traceback" not in stderr
