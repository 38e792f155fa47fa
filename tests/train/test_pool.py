"""Several caches as one."""

import json

import numpy as np
import polars as pl
import pytest
import torch
from synthetic_cache import SyntheticClip, write_cache

from schemas.errors import UserError
from train.evaluate import clip_dataset
from train.loader import Loader, Sight, in_batches
from train.shards import open_pool
from train.splits import SplitChoice, choose_split, official_folds


def clip(label, grey, size=32, **about):
    """Two frames of one grey, by which a clip is told from all others."""
    crops = np.full((2, size, size, 3), grey, np.uint8)
    return SyntheticClip(label=label, crops=crops, keypoints=np.full((2, 18, 2), 15.5), **about)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """Two classes, a split, subjects."""
    folder = tmp_path_factory.mktemp("pool") / "first"
    clips = [
        clip(label, 10 * n + 5 * (label == "Happy"), split="test" if n > 4 else "train", subject=str(n % 3))
        for n in range(6)
        for label in ("Happy", "sad")
    ]
    return write_cache(folder, clips, dataset="first")


@pytest.fixture(scope="module")
def second(tmp_path_factory):
    """Three classes, one of them spelt in another way, no split, subjects of the same names."""
    folder = tmp_path_factory.mktemp("pool") / "second"
    labels = ("happiness", "sad", "fear")
    clips = [clip(label, 120 + 10 * n, subject=str(n % 3)) for n, label in enumerate(2 * labels)]
    return write_cache(folder, clips, dataset="second")


def test_one_cache_stays_as_it_is(first):
    pool = open_pool(first)
    assert pool.labels == ("Happy", "sad") and not pool.notes and "dataset" not in pool.clips.columns
    assert pool.clips["clip_id"][0] == "000000" and set(pool.clips["subject"]) == {"0", "1", "2"}


def test_classes_are_joined_by_what_they_mean_and_ids_and_people_are_kept_apart(first, second):
    pool = open_pool(first, second)
    assert pool.labels == ("happiness", "sad", "fear")
    assert pool.notes == (
        "the caches spell classes differently; canonical names are used (first: Happy → happiness)",
    )
    assert pool.clips["clip_id"].n_unique() == 18 and pool.clips["clip_id"][12] == "second/000000"
    assert pool.clips["subject"].n_unique() == 6
    assert pool.clips.filter(label="happiness")["dataset"].to_list() == ["first"] * 6 + ["second"] * 2


@pytest.mark.parametrize("workers", [0, 1])
def test_every_clip_is_read_from_its_own_cache(first, second, workers):
    pool = open_pool(second, first)
    dataset = clip_dataset(pool, pool.clips, pool.labels, Sight(frames=2))
    order = np.random.default_rng(0).permutation(18)
    greys = []
    for batch in Loader(dataset, workers, torch.device("cpu")).batches(in_batches(order, 5)):
        greys += batch.frames.float().mean((1, 2, 3, 4)).tolist()
    expected = [120 + 10 * n for n in range(6)] + [10 * n + 5 * h for n in range(6) for h in (1, 0)]
    np.testing.assert_allclose(greys, np.array(expected)[order], atol=1.5)
    assert dataset.ids([0, 6]) == ["second/000000", "first/000000"]


def test_each_cache_is_split_as_it_says_and_one_without_a_split_is_trained_on(first, second):
    split = choose_split(open_pool(first, second).clips, SplitChoice(), seed=0)
    assert split.test["clip_id"].to_list() == ["first/000010", "first/000011"]
    assert len(split.train) == 16 and not split.official
    assert split.description == (
        "first: the dataset's own test split; second: all in training, it has no such split"
    )
    both = choose_split(open_pool(first, second).clips, SplitChoice(holdout=0.34), seed=0)
    assert set(both.test["dataset"]) == {"first", "second"}
    assert not set(both.test.filter(dataset="second")["subject"]) & set(both.train["subject"])


def test_folds_are_those_of_the_caches_that_have_some(first, tmp_path):
    def folded(name, folds):
        clips = [clip("sad", 200 + 3 * n, fold=n % folds + 1) for n in range(6)]
        return write_cache(tmp_path / name, clips, dataset=name)

    three, two = folded("three", 3), folded("two", 2)
    clips = open_pool(three, first).clips
    assert official_folds(clips) == [1, 2, 3]
    split = choose_split(clips, SplitChoice(fold=2), seed=0)
    assert split.test.filter(dataset="three")["clip_id"].to_list() == ["three/000001", "three/000004"]
    with pytest.raises(UserError, match="different folds: 1, 2; 1, 2, 3"):
        official_folds(open_pool(three, two).clips)


def test_a_file_trained_on_in_one_cache_and_tested_in_another_is_refused(first, tmp_path):
    again = write_cache(tmp_path / "again", [clip("sad", 50), clip("Happy", 99)], dataset="again")
    pool = open_pool(first, again)  # the first's test clip of label sad has this grey
    assert pool.notes == ("warning: 1 clips lie in more than one of the caches (the same files)",)
    with pytest.raises(UserError, match=r"1 test clips are training clips of another cache .*first/000011"):
        choose_split(pool.clips, SplitChoice(), seed=0)


def test_what_does_not_go_together_is_one_line(first, scored_cache, tmp_path):
    larger = write_cache(tmp_path / "larger", [clip("sad", 3, size=48)], dataset="larger")
    for folders, message in (
        ((first, first), "is given twice"),
        ((first, larger), "crops of 32 px and .*larger of 48 px: extract one again with --size"),
        ((first, tmp_path / "nowhere"), "nowhere"),
    ):
        with pytest.raises(UserError, match=message):
            open_pool(*folders)


def test_two_caches_are_trained_judged_resumed_and_reported_as_one(cli, small, first, second, tmp_path):
    run = tmp_path / "run"
    command = ("train", "run", first, second, "--out", run, *small, "--num-frames", 2, "--epochs", 1)
    outcome = cli(*command)
    assert outcome.returncode == 0, outcome.stderr
    assert "first: Happy → happiness" in outcome.stderr and "16 training clips, 3 classes" in outcome.stderr
    origin = json.loads((run / "run.json").read_text())
    assert origin["caches"] == [str(first), str(second)] and origin["dataset"] == "first + second"
    assert pl.read_parquet(run / "predictions.parquet")["dataset"].to_list() == ["first", "first"]
    assert cli(*command).stdout.startswith("nothing to do")
    other = cli("train", "run", first, "--out", run, *small, "--num-frames", 2, "--epochs", 1)
    assert other.returncode == 1 and "holds another run" in other.stderr
    result = json.loads(cli("train", "evaluate", run, first, second, "--clips", "all", "--json").stdout)
    assert result["clips"] == 18
    assert [(g["dataset"], g["clips"]) for g in result["groups"]["dataset"]] == [("first", 12), ("second", 6)]
    assert cli("train", "report", run).returncode == 0
    one = cli("train", "report", run, "--cache", first)
    assert one.returncode == 1 and "was trained on 2 caches" in one.stderr
