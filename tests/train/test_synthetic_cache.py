import numpy as np
import pytest
import torch
from synthetic_cache import SyntheticClip, write_cache, write_flat_cache

from dfer.schemas.support.errors import UserError
from dfer.train.data.caches import open_pool, usable
from dfer.train.data.dataset import ViewSpec, clip_dataset, in_batches
from dfer.train.data.loader import Loader
from dfer.train.data.splits import SplitChoice, choose_split


def read(cache, clips, frames):
    dataset = clip_dataset(cache, clips, cache.labels, ViewSpec(frames=frames))
    (batch,) = Loader(dataset, 0, torch.device("cpu")).batches(in_batches(range(len(clips)), len(clips)))
    return batch


def test_a_synthetic_cache_is_read_back_as_it_was_written(tmp_path):
    random = np.random.default_rng(0)
    levels = random.integers(0, 256, (3, 4, 1, 1, 3))
    crops = np.broadcast_to(levels, (3, 4, 24, 24, 3)).astype(np.uint8)
    keypoints = random.uniform(0, 23, (3, 4, 18, 2)).astype(np.float32)
    clips = [
        SyntheticClip(label=label, crops=crops[i], keypoints=keypoints[i], split=split, subject=f"s{i}")
        for i, (label, split) in enumerate([("up", "train"), ("down", "test"), ("up", "train")])
    ]
    cache = open_pool(write_cache(tmp_path / "cache", [*clips, SyntheticClip(label="up", split="test")]))
    assert cache.crop_size == 24 and cache.labels == ("down", "up")
    split = choose_split(cache.clips, SplitChoice(), seed=0)
    assert len(split.train) == len(split.test) == 2
    assert cache.clips["status"].to_list() == ["ok", "ok", "ok", "no_face"]
    batch = read(cache, usable(cache.clips), frames=4)
    assert batch.labels.tolist() == [1, 0, 1]
    np.testing.assert_array_equal(batch.keypoints, keypoints)
    # JPEG keeps the colour of a flat crop to a few levels of 256.
    assert np.abs(batch.frames.permute(0, 1, 3, 4, 2).numpy().astype(int) - crops).max() <= 4


def test_a_flat_cache_of_several_shards_is_read_at_random(tmp_path):
    cache = open_pool(write_flat_cache(tmp_path / "cache", clips=600))
    assert cache.clips["shard"].unique().sort().to_list() == [0, 1, 2]
    batch = read(cache, cache.clips[[599, 0, 300, 255, 256]], frames=4)
    assert batch.frames.shape == (5, 4, 3, 32, 32) and batch.labels.tolist() == [1, 0, 0, 1, 0]
    assert int(batch.frames.min()) == int(batch.frames.max()) == 128


def test_a_damaged_synthetic_cache_is_refused_like_a_real_one(tmp_path):
    folder = write_flat_cache(tmp_path / "cache", clips=3)
    (folder / "clips.parquet").unlink()
    with pytest.raises(UserError, match="not finished"):
        open_pool(folder)
