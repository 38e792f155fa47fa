"""A run that has overfitted six clips, and caches made from them."""

import json

import polars as pl
import pytest
from linked_copy import linked_copy


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
