import subprocess
import time

import made_up
import psutil
import pytest
import torch

from dfer.train.data.caches import open_pool
from dfer.train.data.dataset import Request, ViewSpec, clip_dataset
from dfer.train.data.loader import Loader
from dfer.train.data.sampling import Augmentation, epoch_order


def test_worker_processes_give_the_batches_that_this_process_gives(sample_cache):
    cache = open_pool(sample_cache)
    sight = ViewSpec(frames=5, augmentation=Augmentation(seed=0, frames=5, flip=True, colour=0.3))
    dataset = clip_dataset(cache, cache.clips, cache.labels, sight)
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


def test_a_request_that_only_fills_a_place_has_no_label(sample_cache):
    cache = open_pool(sample_cache)
    dataset = clip_dataset(cache, cache.clips, cache.labels, ViewSpec(frames=2))
    plan = [[Request(3), Request(3, counts=False)]]
    (batch,) = Loader(dataset, 0, torch.device("cpu")).batches(plan)
    assert batch.labels.tolist() == [3, -1]
    assert torch.equal(batch.frames[0], batch.frames[1])


def test_repeated_frames_of_a_short_clip_are_the_same_frames(sample_cache):
    cache = open_pool(sample_cache)
    plan = [[Request(0)]]
    all_of_it, twice = (
        next(iter(Loader(dataset, 0, torch.device("cpu")).batches(plan)))
        for frames in (32, 64)
        for dataset in [clip_dataset(cache, cache.clips, cache.labels, ViewSpec(frames=frames))]
    )
    assert torch.equal(all_of_it.frames.repeat_interleave(2, 1), twice.frames)
    assert torch.equal(all_of_it.keypoints.repeat_interleave(2, 1), twice.keypoints)


@pytest.mark.parametrize("moment", [0, 1])
def test_workers_of_a_run_that_is_killed_while_they_start_end(program, tmp_path, moment):
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
