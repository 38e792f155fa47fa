"""Real network input, small finished runs, a cache with expression scores."""

import pytest
import torch


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
