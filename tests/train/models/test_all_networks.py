"""What every network of the registry must do, in small: learn, resume exactly after a kill, predict again, export."""

import shutil

import forks
import made_up
import numpy as np
import polars as pl
import pytest
from one_clue import follow_quickly
from same_run import assert_same_run
from small_networks import NETWORKS, flags, small, without_dropout

from dfer.train.commands.evaluate import evaluate_run
from dfer.train.engine.experiment import RunOptions
from dfer.train.models.registry import MODELS

CLIPS = 6


def test_every_network_has_small_settings():
    assert NETWORKS.keys() == MODELS.keys()


@pytest.mark.parametrize("model", MODELS)
def test_it_overfits_six_real_clips(sample_cache, model):
    training = made_up.training(sample_cache, "quick", {**without_dropout(model), "batch_size": CLIPS})
    follow_quickly(training)
    for _ in range(60):
        [*_] = training.steps()
        table, figures = training.test()
        if figures.war == 1:
            break
        training.next_epoch()
    assert table["predicted"].to_list() == table["label"].to_list()


def arguments(cache, out, model):
    """Six steps with the network's own dropout. SGD without momentum makes the checkpoint a third of Adam's."""
    recipe = ("--epochs", 2, "--batch-size", 2, "--optimiser", "sgd", "--momentum", 0, "--device", "cpu")
    return ["run", cache, "--out", out, "--preset", "quick", *flags(small(model)), *recipe]


@pytest.fixture(scope="module", params=MODELS)
def finished(request, sample_cache, tmp_path_factory):
    """A model, and the folder of a run of it that was never stopped."""
    out = tmp_path_factory.mktemp("never") / "run"
    made_up.done(*arguments(sample_cache, out, request.param))
    yield request.param, out
    shutil.rmtree(out)


def test_it_exports_the_probabilities_of_each_clip(finished):
    _, out = finished
    table = pl.read_parquet(out / "predictions.parquet")
    shares = table.select(pl.col("^p_.*$")).to_numpy()
    assert table["clip_id"].n_unique() == len(table) == CLIPS and shares.shape == (CLIPS, CLIPS)
    np.testing.assert_allclose(shares.sum(1), 1, atol=1e-5)
    best = [f"p_{label}" for label in table["predicted"]]
    assert [table.columns[-CLIPS:][row.argmax()] for row in shares] == best


def test_it_predicts_the_same_after_it_is_loaded_again(finished, sample_cache):
    _, out = finished
    again = evaluate_run(out, [sample_cache], "last", "test", RunOptions(device="cpu"))
    assert again.predictions.equals(pl.read_parquet(out / "predictions.parquet"))


def test_killed_within_an_epoch_it_resumes_to_the_same_weights(finished, sample_cache, tmp_path):
    model, never_stopped = finished
    for attempt in range(5):  # a small network may finish before the kill
        out = tmp_path / f"run{attempt}"
        call = arguments(sample_cache, out, model)
        log = tmp_path / "log.txt"
        process = forks.start_train([*call, "--save-minutes", 0], log)
        if forks.kill_after(process, out / "last.pt"):
            break
        assert process.exitcode == 0, log.read_text()
    assert process.exitcode == -9
    resumed = made_up.done(*call, "--resume")
    assert "resuming after epoch" in resumed.stderr
    assert_same_run(out, never_stopped)
