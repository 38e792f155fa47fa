"""Real network input, small finished runs, caches made from the six clips."""

import json
import os
import socket
import subprocess

import polars as pl
import pytest
import torch
from linked_copy import linked_copy


@pytest.fixture(scope="session")
def stored_batch(sample_cache):
    """Eight frames of each of the six clips as stored in the cache: a Batch on the CPU."""
    from dfer.train.data.caches import open_pool
    from dfer.train.data.dataset import ViewSpec, clip_dataset, in_batches
    from dfer.train.data.loader import Loader

    cache = open_pool(sample_cache)
    dataset = clip_dataset(cache, cache.clips, cache.labels, ViewSpec(frames=8))
    (batch,) = Loader(dataset, 0, torch.device("cpu")).batches(in_batches(range(6), 6))
    return batch


@pytest.fixture(scope="session")
def real_input(stored_batch):
    """The same as network input: frames (6, 8, 3, 112, 112), key-points (6, 8, 18, 2)."""
    from dfer.train.config import DataConfig
    from dfer.train.engine.forward import network_input

    return network_input(stored_batch, DataConfig(num_frames=8))[:2]


@pytest.fixture(scope="session")
def small():
    """Arguments of `train run` for a network that takes about a second an epoch."""
    size = ("--image-size", 32, "--num-frames", 4, "--batch-size", 3, "--stage-strides", "1,2,2,2")
    return ("--preset", "quick", *size)


@pytest.fixture(scope="session")
def small_run(cli, small, sample_cache, tmp_path_factory):
    """A small network trained for two epochs on the six clips, with the installed command."""
    out = tmp_path_factory.mktemp("small") / "run"
    outcome = cli("train", "run", sample_cache, "--out", out, *small, "--epochs", 2)
    assert outcome.returncode == 0, outcome.stderr
    return out


@pytest.fixture(scope="session")
def scored_cache(cli, sample_clips, tmp_path_factory):
    """Four frames of each of the six clips with MediaPipe's expression scores."""
    folder = tmp_path_factory.mktemp("scored") / "cache"
    outcome = cli("pipeline", "extract", sample_clips, "--out", folder, "--blendshapes", "--frames", 4)
    assert outcome.returncode == 0, outcome.stderr
    return folder


@pytest.fixture
def one_thread():
    """As torchrun gives each process: with another number sums are rounded differently, and training amplifies it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def free_port():
    """A function that finds a port nobody listens on."""

    def find():
        with socket.socket() as free:
            free.bind(("localhost", 0))
            return free.getsockname()[1]

    return find


@pytest.fixture(scope="session")
def ranks(program, free_port):
    """Start `train` a number of times with the variables that torchrun sets, and wait: torchrun itself takes long."""

    def call(count, *arguments):
        common = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(free_port()), "OMP_NUM_THREADS": "1"}
        common |= {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count)}
        command = [*map(str, (program("train"), *arguments))]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        processes = [
            subprocess.Popen(
                command, env={**os.environ, **common, "RANK": str(rank), "LOCAL_RANK": str(rank)}, **pipes
            )
            for rank in range(count)
        ]
        try:
            printed = [process.communicate(timeout=300) for process in processes]
        finally:
            for process in processes:
                process.kill()
        codes = [process.returncode for process in processes]
        stdout, stderr = ("".join(texts) for texts in zip(*printed, strict=True))
        assert all(codes) or not any(codes), (codes, stderr)
        return subprocess.CompletedProcess(command, codes[0], stdout, stderr)

    return call


@pytest.fixture(scope="session")
def overfitted(here, sample_cache, tmp_path_factory):
    """The main job of the README: the quick preset overfits the six clips. The run's folder and what was printed."""
    out = tmp_path_factory.mktemp("overfitted") / "run"
    outcome = here("train", "run", sample_cache, "--out", out, "--preset", "quick")
    assert outcome.returncode == 0, outcome.stderr
    return out, outcome


@pytest.fixture(scope="session")
def cache_with_unusable_clips(sample_cache, tmp_path_factory):
    """The six clips, those of fear and sadness without a face."""
    cache = linked_copy(sample_cache, tmp_path_factory.mktemp("unusable") / "cache", "clips.parquet")
    clips = pl.read_parquet(cache / "clips.parquet")
    bad = pl.col("label").is_in(["fear", "sadness"])
    clips = clips.with_columns(
        status=pl.when(bad).then(pl.lit("no_face")).otherwise("status"),
        row=pl.when(bad).then(None).otherwise("row"),
    )
    clips.write_parquet(cache / "clips.parquet")
    return cache


@pytest.fixture(scope="session")
def folds_cache(sample_cache, tmp_path_factory):
    """The six clips with three subjects, two folds and two scenes; one clip has no face."""
    folder = tmp_path_factory.mktemp("folds") / "cache"
    copy = linked_copy(sample_cache, folder, "clips.parquet", "cache.json")
    clips = pl.read_parquet(copy / "clips.parquet").with_columns(
        subject=pl.Series(["x", "x", "y", "y", "z", "z"]),
        scene=pl.Series(["indoors", "outdoors"] * 3),
        fold=pl.Series([1, 1, 1, 2, 2, 2], dtype=pl.Int32),
        label=pl.Series(["a", "b"] * 3),
        status=pl.Series(["ok", "ok", "ok", "ok", "ok", "no_face"]),
    )
    clips = clips.with_columns(row=pl.when(pl.col("status") == "ok").then("row"))
    clips.write_parquet(copy / "clips.parquet")
    info = json.loads((copy / "cache.json").read_text())
    (copy / "cache.json").write_text(json.dumps({**info, "labels": ["a", "b"]}))
    return copy


SIZE = ("--image-size", 32, "--num-frames", 2, "--stage-strides", "1,2,2,2", "--depth", 1)


@pytest.fixture(scope="session")
def tiny():
    """Settings of a network for `folds_cache` that trains an epoch in a second; four steps per fold."""
    return (*SIZE, "--epochs", 1, "--batch-size", 1)


@pytest.fixture(scope="session")
def crossval(here, folds_cache, tiny, tmp_path_factory):
    """A cross-validation over the three subjects: its folder and what was printed."""
    out = tmp_path_factory.mktemp("crossval") / "out"
    call = ("train", "crossval", folds_cache, "--out", out, "--folds", "subject:3", "--preset", "quick")
    outcome = here(*call, *tiny)
    assert outcome.returncode == 0, outcome.stderr
    return out, outcome
