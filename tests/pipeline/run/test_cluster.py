import os
import shutil
import signal
import subprocess
import time

import pytest
from folder_bytes import contents

from dfer.schemas.read_cache import read_clips


@pytest.fixture(scope="module")
def source(astronaut_video, tmp_path_factory):
    """Nine clips; one kills the process that decodes it."""
    folder = tmp_path_factory.mktemp("cluster") / "clips" / "label"
    folder.mkdir(parents=True)
    for name in ("a", "b", "c", "d_sigkill", "e", "f", "g", "h", "i"):
        shutil.copy(astronaut_video, folder / f"{name}.mp4")
    return folder.parent


SETTINGS = ("--frames", 3, "--shard-clips", 2)


@pytest.fixture(scope="module")
def local(cli, faulty_decoder, source, tmp_path_factory):
    out = tmp_path_factory.mktemp("local") / "cache"
    assert cli("pipeline", "extract", source, "--out", out, *SETTINGS, **faulty_decoder).returncode == 0
    return out


def test_finalized_slices_have_the_same_bytes_as_one_extraction(cli, faulty_decoder, source, local, tmp_path):
    out = tmp_path / "cache"
    for number in (2, 0, 1):
        assert "not done" in cli("pipeline", "finalize", out).stderr or number == 2
        part = ("--slice", f"{number}/3")
        outcome = cli("pipeline", "extract", source, "--out", out, *SETTINGS, *part, **faulty_decoder)
        assert outcome.returncode == 0, outcome.stderr
        assert f"pipeline finalize {out}" in outcome.stdout
        assert not (out / "clips.parquet").exists()
    assert cli("pipeline", "finalize", out).returncode == 0
    assert contents(out) == contents(local)


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
def test_wrong_calls_end_with_one_line(cli, source, tmp_path, options, code, message):
    outcome = cli("pipeline", "extract", source, "--out", tmp_path / "cache", *options)
    assert outcome.returncode == code
    assert message in outcome.stderr.splitlines()[-1]


@pytest.fixture
def cluster(faulty_decoder):
    """Two Dask worker processes; the decoder fails in their children as in a local extraction."""
    from distributed import LocalCluster

    before = dict(os.environ)
    os.environ.update(faulty_decoder)
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1") as started:
        yield started
    os.environ.clear()
    os.environ.update(before)


def test_a_cluster_that_loses_a_worker_writes_the_same_bytes(program, cluster, source, local, tmp_path):
    out = tmp_path / "cache"
    command = [program("pipeline"), "extract", source, "--out", out, *SETTINGS]
    command += ["--dask", cluster.scheduler_address]
    running = subprocess.Popen(
        [*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not list(out.glob("commits/*.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    lost = next(iter(cluster.workers.values())).pid
    os.kill(lost, signal.SIGKILL)
    stdout, stderr = running.communicate(timeout=240)
    assert running.returncode == 0, stderr
    assert "8 of 9 clips usable" in stdout
    assert contents(out) == contents(local)
    reasons = read_clips(out)["reason"].drop_nulls()
    assert reasons.to_list() == ["its process died (killed, or crashed in a library)"]
