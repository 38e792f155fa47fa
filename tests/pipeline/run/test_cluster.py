import os
import shutil
import signal
import subprocess
import time

import pytest
from folder_bytes import contents

from dfer.schemas.read_cache import read_clips
from dfer.schemas.support import dask_client


@pytest.fixture(scope="module")
def source(astronaut_video, tmp_path_factory):
    """Six clips; one kills the process that decodes it."""
    folder = tmp_path_factory.mktemp("cluster") / "clips" / "label"
    folder.mkdir(parents=True)
    for name in ("a", "b", "c", "d_sigkill", "e", "f"):
        shutil.copy(astronaut_video, folder / f"{name}.mp4")
    return folder.parent


SETTINGS = ("--frames", 3, "--shard-clips", 2)


@pytest.fixture(scope="module")
def local(cli, faulty_decoder, source, tmp_path_factory):
    """The bytes of an extraction on this machine."""
    out = tmp_path_factory.mktemp("local") / "cache"
    assert cli("pipeline", "extract", source, "--out", out, *SETTINGS, **faulty_decoder).returncode == 0
    return contents(out)


def test_finalized_slices_have_the_same_bytes_as_one_extraction(faulty_here, source, local, tmp_path):
    out = tmp_path / "cache"
    for number in (1, 0):
        part = ("--slice", f"{number}/2", "--workers", 1)
        outcome = faulty_here("pipeline", "extract", source, "--out", out, *SETTINGS, *part)
        assert outcome.returncode == 0, outcome.stderr
        assert f"pipeline finalize {out}" in outcome.stdout
        assert not (out / "clips.parquet").exists()
        finalized = faulty_here("pipeline", "finalize", out)
        assert number == 0 or "2 of 3 shards not done" in finalized.stderr
    assert finalized.returncode == 0
    assert contents(out) == local


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--slice", "3/3"), 1, "I must be between 0 and N-1"),
        (("--slice", "one"), 2, "does not have the form 0/4"),
        (("--slice", "0/2", "--dask", "tcp://127.0.0.1:9"), 2, "--dask cannot be combined"),
        (("--dask", "tcp://127.0.0.1:9"), 1, "no scheduler answers"),
        (("--dask", "nonsense"), 1, "an address looks like"),
    ],
)
def test_wrong_calls_end_with_one_line(here, source, tmp_path, monkeypatch, options, code, message):
    monkeypatch.setattr(dask_client, "CONNECT_SECONDS", 1)
    outcome = here("pipeline", "extract", source, "--out", tmp_path / "cache", *options)
    assert outcome.returncode == code
    assert message in outcome.stderr.splitlines()[-1]
    assert not (tmp_path / "cache").exists()


@pytest.fixture
def dask_cluster(faulty_decoder):
    """Two Dask worker processes; the decoder fails in their children as in a local extraction."""
    from distributed import LocalCluster

    before = dict(os.environ)
    os.environ.update(faulty_decoder)
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1") as started:
        yield started
    os.environ.clear()
    os.environ.update(before)


def test_a_cluster_that_loses_a_worker_writes_the_same_bytes(program, dask_cluster, source, local, tmp_path):
    out = tmp_path / "cache"
    command = [program("pipeline"), "extract", source, "--out", out, *SETTINGS]
    command += ["--dask", dask_cluster.scheduler_address]
    running = subprocess.Popen(
        [*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not list(out.glob("commits/*.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    lost = next(iter(dask_cluster.workers.values())).pid
    os.kill(lost, signal.SIGKILL)
    stdout, stderr = running.communicate(timeout=240)
    assert running.returncode == 0, stderr
    assert "5 of 6 clips usable" in stdout
    assert contents(out) == local
    reasons = read_clips(out)["reason"].drop_nulls()
    assert reasons.to_list() == ["its process died (killed, or crashed in a library)"]
