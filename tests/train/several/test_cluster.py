"""Runs on a Dask cluster of two workers, one of which is killed."""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import polars as pl
import psutil
import pytest
from made_up import cache, clip, refused

from dfer.schemas.support.folder_lock import FolderLock

README = Path(__file__).parents[3] / "train" / "models" / "README.md"
EPOCHS = 20


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """Those of a small network, so that its checkpoints are small too."""
    (code,) = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.M | re.S)
    mine = tmp_path_factory.mktemp("mine") / "mine.py"
    mine.write_text(code)
    network = ("--model", f"{mine}:MyNetwork", "--width", 8, "--image-size", 32, "--num-frames", 2)
    return (*network, "--epochs", EPOCHS, "--batch-size", 2, "--folds", "official", "--seeds", "0,1")


@pytest.fixture(scope="module")
def folds(tmp_path_factory):
    clips = [clip("ab"[n % 2], n, fold=1 + n // 8) for n in range(16)]
    return cache(tmp_path_factory.mktemp("folds"), "folds", clips)


@pytest.fixture
def dask_cluster():
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1") as started:
        yield started


def rows_of(out):
    """The epochs that each run has finished, with the seconds they took."""
    found = {}
    for path in sorted(out.glob("seed_*/fold_*/metrics.csv")):
        found[path.relative_to(out)] = pl.read_csv(path).rows()
    return found


def wait_for(happened, running=None):
    deadline = time.monotonic() + 240
    while not happened():
        assert (running is None or running.poll() is None) and time.monotonic() < deadline
        time.sleep(0.05)


def trains(process):
    """Whether a worker's child is a run that has not ended."""
    try:
        return "dfer.train" in process.cmdline()
    except psutil.Error:  # it has just ended
        return False


def interrupted(running):
    """Press Ctrl-C, again after a minute, as a person would. What the command printed on stderr."""
    for _ in range(4):
        running.send_signal(signal.SIGINT)
        try:
            return running.communicate(timeout=60)[1]
        except subprocess.TimeoutExpired:
            continue
    raise AssertionError("it does not end")


def test_a_cluster_that_loses_a_worker_goes_on_and_gives_the_table_of_one_machine(
    program, cli, dask_cluster, folds, settings, tmp_path
):
    local, out = tmp_path / "local", tmp_path / "out"
    call = ("crossval", folds, *settings)
    assert cli("train", *call, "--out", local, OMP_NUM_THREADS="1").returncode == 0
    command = [program("train"), *call, "--out", out, "--dask", dask_cluster.scheduler_address]
    running = subprocess.Popen(
        [*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_for(lambda: len([rows for rows in rows_of(out).values() if len(rows) >= 2]) >= 2, running)
    os.kill(next(iter(dask_cluster.workers.values())).pid, signal.SIGKILL)
    before = rows_of(out)
    _, stderr = running.communicate(timeout=240)
    assert running.returncode == 0, stderr
    assert "trained on the cluster (4 of 4 runs)" in stderr and f"epoch 1/{EPOCHS}" not in stderr
    after = rows_of(out)
    assert {path: after[path][: len(rows)] for path, rows in before.items()} == before  # none began again
    for name in ("crossval.csv", "seed_0/crossval.csv", "seed_1/crossval.csv"):
        assert (out / name).read_bytes() == (local / name).read_bytes()


def test_runs_on_the_cluster_end_when_the_command_does_and_go_on_with_the_next(
    program, dask_cluster, folds, settings, tmp_path
):
    out = tmp_path / "out"
    call = [program("train"), "crossval", folds, *settings, "--epochs", 2000, "--out", out]
    call = [*map(str, (*call, "--dask", dask_cluster.scheduler_address))]
    running = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: len(rows_of(out)) >= 2, running)
    stderr = interrupted(running)
    assert running.returncode == 130 and "run the same command again to continue" in stderr
    workers = [psutil.Process(worker.pid) for worker in dask_cluster.workers.values()]
    wait_for(lambda: not any(trains(child) for worker in workers for child in worker.children()))
    locks = [FolderLock(path.parent) for path in out.glob("seed_*/fold_*/metrics.csv")]
    assert locks and all(lock.take(shared=False) for lock in locks)


@pytest.mark.parametrize(
    ("address", "message"),
    [("tcp://127.0.0.1:9", "no scheduler answers"), ("nonsense", "an address looks like")],
)
def test_a_scheduler_that_is_not_there_is_one_line(folds, settings, tmp_path, monkeypatch, address, message):
    monkeypatch.setattr("dfer.schemas.support.dask_client.CONNECT_SECONDS", 1)
    assert message in refused("crossval", folds, *settings, "--out", tmp_path / "out", "--dask", address)


def test_a_run_that_fails_on_the_cluster_names_its_folder_and_reason(dask_cluster, folds, settings, tmp_path):
    damaged, out = tmp_path / "damaged", tmp_path / "out"
    shutil.copytree(folds, damaged)
    (shard,) = (damaged / "faces").iterdir()
    shard.write_bytes(bytes(shard.stat().st_size))
    line = refused("crossval", damaged, *settings, "--out", out, "--dask", dask_cluster.scheduler_address)
    assert re.search(rf"{out}/seed_\d/fold_\d failed on the cluster: train: {shard}", line)
