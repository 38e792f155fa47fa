"""Results on clips that the network was trained on always come with a warning."""

import json
import shutil

import polars as pl
import pytest
from made_up import TINY, cache, clip, done, printed

from dfer.train.engine import checkpoint


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A run on four clips and tested on them; the other dataset has one of these files too."""
    folder = tmp_path_factory.mktemp("first")
    clips = [clip("happy", 0), clip("sad", 1), clip("happy", 2), clip("sad", 3)]
    done("run", cache(folder, "first", clips), "--out", folder / "run", *TINY)
    return folder


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """Another dataset with that file in its test part."""
    clips = [clip("happy", 10, split="train"), clip("sad", 11, split="train")]
    clips += [clip("happy", 0, split="test"), clip("sad", 12, split="test")]
    return cache(tmp_path_factory.mktemp("other"), "other", clips)


def test_testing_on_the_training_clips_is_reported(first):
    call = ("evaluate", first / "run", first / "first")
    shown = done(*call).stdout
    assert "evaluated on: the training clips themselves" in shown
    assert "warning: the network was trained on 4 of 4 of these clips" in shown
    result = printed(*call)
    assert len(result["trained_on"]) == 4 and "training clips themselves" in result["judged_on"]


def test_a_training_file_is_recognised_in_another_dataset(first, other):
    call = ("evaluate", first / "run", other, "--clips", "all")
    assert "trained on 1 of 4" in done(*call).stdout
    assert len(printed(*call)["trained_on"]) == 1


def test_clips_of_another_cache_without_a_split_are_not_called_training_clips(first, tmp_path):
    fresh = cache(tmp_path, "fresh", [clip("happy", 20), clip("sad", 21)])
    partly = cache(tmp_path, "partly", [clip("happy", 20), clip("sad", 1), clip("sad", 3)])
    table = tmp_path / "predictions.parquet"
    for folder, known in ((fresh, 0), (partly, 2)):
        call = ("evaluate", first / "run", folder)
        shown = done(*call, "--predictions", table).stdout
        assert "evaluated on: all clips (the given cache has no split)" in shown
        assert f"tested on {3 if known else 2} clips" in shown and "themselves" not in shown
        overlap = "warning: the network was trained on 2 of 3 of these clips"
        assert (overlap if known else "the network was trained on none of these clips") in shown
        result = printed(*call)
        assert result["judged_on"] == "all clips (the given cache has no split)"
        assert len(result["trained_on"]) == known
        origin = json.loads(pl.read_parquet_metadata(table)["origin"])
        assert (origin["judged_on"], origin["clips_trained_on"]) == (result["judged_on"], known)
    both = printed("evaluate", first / "run", fresh, partly)["judged_on"]
    assert both == "all clips (the given caches have no split)"
    trained = printed("evaluate", first / "run", fresh, "--clips", "train")["judged_on"]
    assert trained == "all clips (the given cache has no split)"


def test_the_training_part_of_another_cache_is_not_called_the_training_clips(first, other):
    result = printed("evaluate", first / "run", other, "--clips", "train")
    assert result["judged_on"] == "the training clips of the given cache" and not result["trained_on"]


def test_the_run_s_own_cache_is_recognised_in_another_place(first, tmp_path):
    moved = shutil.copytree(first / "first", tmp_path / "moved")
    assert printed("evaluate", first / "run", moved)["judged_on"].startswith("the training clips themselves")


def test_a_run_knows_what_its_initial_weights_were_trained_on(first, other, tmp_path):
    for start in (first / "run", first / "run" / "last.pt"):
        out = tmp_path / start.name
        said = done("run", other, "--out", out, *TINY, "--init-from", start).stderr
        assert "was trained on 1 of 2 test clips" in said
        assert "trained on 1 of 2" in done("evaluate", out, other).stdout
    started = checkpoint.load(out / "last.pt").trained_on
    assert {*checkpoint.load(first / "run" / "last.pt").trained_on} < {*started} and len(started) == 6
    said = done("run", other, "--out", tmp_path / "from scratch", *TINY).stderr
    assert "warning" not in said
