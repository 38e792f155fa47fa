"""Logit adjustment after training: one shift of the scores wherever a network predicts."""

import json

import numpy as np
import polars as pl
import pytest
import torch
from made_up import TINY, cache, clip, done, printed

from dfer.train.engine import checkpoint

CLASSES = ("a", "b", "c")
PRIOR = np.array([4, 2, 1]) / 7


@pytest.fixture(scope="module")
def uneven(tmp_path_factory):
    clips = [clip(label, n, split="train") for n, label in enumerate("aaaabbc")]
    clips += [clip(label, 10 + n, split="test") for n, label in enumerate("abc")]
    return cache(tmp_path_factory.mktemp("uneven"), "uneven", clips)


@pytest.fixture(scope="module")
def runs(uneven, tmp_path_factory):
    """The same training without and with logit adjustment."""
    folder = tmp_path_factory.mktemp("runs")
    for name, tau in (("plain", 0), ("adjusted", 1.5)):
        flags = ("--logit-adjustment", tau, "--ema-decay", 0.9, "--epochs", 2)
        done("run", uneven, "--out", folder / name, *TINY, *flags)
    return folder


def probabilities(table):
    return pl.read_parquet(table).select(f"p_{name}" for name in CLASSES).to_numpy()


def test_predictions_are_the_scores_minus_tau_log_prior_and_the_training_is_the_same(runs, uneven, tmp_path):
    plain, adjusted = (probabilities(runs / name / "predictions.parquet") for name in ("plain", "adjusted"))
    logits = np.log(plain) - 1.5 * np.log(PRIOR)
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(adjusted, expected, rtol=1e-4)
    one, other = (checkpoint.load(runs / name / "last.pt") for name in ("plain", "adjusted"))
    assert {*other.model} - {*one.model} == {"class_shift"}
    assert all(torch.equal(value, other.model[name]) for name, value in one.model.items())
    # `evaluate` reads the checkpoint: it predicts as the run did.
    printed("evaluate", runs / "adjusted", uneven, "--predictions", tmp_path / "again.parquet")
    np.testing.assert_allclose(probabilities(tmp_path / "again.parquet"), adjusted, rtol=1e-5)


def test_a_run_that_starts_from_an_adjusted_one_has_its_own_shift_or_none(runs, uneven, tmp_path):
    call = ("run", uneven, *TINY, "--init-from", runs / "adjusted")
    done(*call, "--out", tmp_path / "none")
    assert "class_shift" not in checkpoint.load(tmp_path / "none" / "last.pt").model
    assert json.loads((tmp_path / "none" / "weights.json").read_text())["skipped"] == {}
    done(*call, "--out", tmp_path / "own", "--logit-adjustment", 1)
    shift = checkpoint.load(tmp_path / "own" / "last.pt").model["class_shift"]
    np.testing.assert_allclose(shift.numpy(), -np.log(PRIOR), rtol=1e-5)
