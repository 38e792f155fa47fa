"""`train.LandmarkDataset`: a plain torch dataset with the clips and frames that `train run` sees."""

import made_up
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from dfer import train
from dfer.schemas.blendshapes import BLENDSHAPES
from dfer.schemas.support.errors import UserError
from dfer.train.data.caches import open_pool, usable
from dfer.train.data.dataset import Request, ViewSpec, clip_dataset
from dfer.train.data.splits import SplitChoice, choose_split


@pytest.fixture(scope="module")
def folds(tmp_path_factory):
    clips = [
        made_up.clip(label, seed, fold=seed % 2 + 1)
        for seed, label in enumerate(("happiness", "sadness", "anger") * 2)
    ]
    return made_up.cache(tmp_path_factory.mktemp("folds"), "folds", clips)


def test_an_item_has_the_frames_and_points_that_evaluation_uses(sample_cache):
    pool = open_pool(sample_cache)
    batch = clip_dataset(pool, usable(pool.clips), pool.labels, ViewSpec(frames=5, landmarks=True))
    batch = batch.__getitems__([Request(3)])
    clips = train.LandmarkDataset(sample_cache, num_frames=5)
    item = clips[3]
    assert item["clip"] == pool.clips["clip_id"][3] and clips.labels[item["label"]] == pool.clips["label"][3]
    assert (
        item["frames"].shape == (5, 3, pool.crop_size, pool.crop_size) and item["frames"].dtype == torch.uint8
    )
    for name in ("frames", "keypoints", "landmarks", "detected"):
        assert np.array_equal(item[name], getattr(batch, name)[0]), name
    assert ("expressions" in item) == (not pool.without_expressions)
    assert torch.equal(clips[-3]["frames"], item["frames"])
    with pytest.raises(IndexError):
        clips[6]


def test_expression_scores_are_part_of_an_item_where_the_cache_has_them(scored_cache):
    item = train.LandmarkDataset(scored_cache, num_frames=3)[0]
    assert item["expressions"].shape == (3, len(BLENDSHAPES))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_plain_data_loader_gives_every_clip_unchanged(sample_cache, workers):
    clips = train.LandmarkDataset(sample_cache, num_frames=4)
    batches = [*DataLoader(clips, batch_size=1, num_workers=workers, prefetch_factor=3 if workers else None)]
    assert [batch["clip"] for batch in batches] == [[clip] for clip in clips.clips["clip_id"]]
    for number, batch in enumerate(
        batches
    ):  # all are kept: a worker must not have written into their memory again
        assert torch.equal(batch["frames"][0], clips[number]["frames"])


def test_its_parts_are_those_of_train_run(folds):
    chosen = choose_split(open_pool(folds).clips, SplitChoice(fold=2), 0)
    for split, expected in (("train", chosen.train), ("test", chosen.test)):
        found = train.LandmarkDataset(folds, split=split, fold=2)
        assert found.clips["clip_id"].to_list() == expected["clip_id"].to_list()


def test_random_frames_follow_the_seed_of_torch(sample_cache):
    clips = train.LandmarkDataset(sample_cache, num_frames=8, random_frames=True)
    torch.manual_seed(1)
    first, second = clips[0]["frames"], clips[0]["frames"]
    torch.manual_seed(1)
    again = clips[0]["frames"]
    assert torch.equal(first, again) and not torch.equal(first, second)


def test_a_split_that_is_not_there_is_one_line(sample_cache, folds, tmp_path):
    for path, choice, words in (
        (sample_cache, {"split": "test"}, f"no split in {sample_cache}; give a holdout"),
        (sample_cache, {"split": "val"}, f"no clip is in it; splits of {sample_cache}: none"),
        (folds, {"split": "train"}, "--fold"),
        (tmp_path, {}, "not a landmark cache"),
    ):
        with pytest.raises(UserError, match=words):
            train.LandmarkDataset(path, **choice)
