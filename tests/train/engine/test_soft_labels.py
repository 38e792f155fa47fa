"""Runs on votes: the loss of an epoch, ties, several caches, two processes, and a kill."""

import shutil
import subprocess
import time

import made_up
import numpy as np
import polars as pl
import pytest
import torch
from made_up import TINY, cache, clip, done, refused
from same_run import assert_same_run

from dfer.train.data.caches import open_pool
from dfer.train.data.dataset import Request, ViewSpec, clip_dataset
from dfer.train.data.loader import Loader
from dfer.train.engine import checkpoint
from dfer.train.engine.forward import scores_of

VOTES = ((3, 1, 0), (0, 4, 0), (2, 2, 0), (1, 1, 6), None, (0, 2, 2), (5, 2, 1), (0, 1, 0))
LABELS = ("anger", "fear", None, "sadness", "fear", None, "anger", "fear")
SHARES = [[0.75, 0.25, 0], [0, 1, 0], [0.5, 0.5, 0], [0.125, 0.125, 0.75], [0, 1, 0], [0, 0.5, 0.5]]
SHARES += [[0.625, 0.25, 0.125], [0, 1, 0]]


@pytest.fixture(scope="module")
def voted(tmp_path_factory):
    """Eight clips of three classes: two are ties, one has no votes."""
    clips = [clip(label, n, votes=votes) for n, (label, votes) in enumerate(zip(LABELS, VOTES, strict=True))]
    return cache(tmp_path_factory.mktemp("voted"), "voted", clips, ("anger", "fear", "sadness"))


def test_the_loss_of_an_epoch_is_the_cross_entropy_with_the_shares_of_votes(voted):
    size = {"image_size": 32, "num_frames": 2, "stage_strides": (1, 2, 2, 2), "depth": 1, "batch_size": 8}
    recipe = {"learning_rate": 0.0, "soft_labels": True, "label_smoothing": 0.1, "epochs": 1}
    training = made_up.training(voted, "quick", {**size, **recipe})
    (totals,) = training.steps()
    (batch,) = training.loader.batches([[Request(n, 0, n) for n in range(8)]])
    network = training.learner.network.train()
    with torch.no_grad():
        scores = scores_of(network, batch, training.config, torch.device("cpu"))
    targets = 0.9 * np.array(SHARES) + 0.1 / 3
    expected = 0.0
    for share, logits in ((0.8, scores.clip), (0.2, scores.auxiliary["frames"])):
        expected -= share * (targets * logits.log_softmax(1).numpy()).sum() / 8
    assert totals.mean_loss == pytest.approx(expected, rel=1e-4)
    # The two ties count in the loss only.
    assert totals.matrix.sum() == 6 and totals.clips == 8
    assert len(training.clips) == 8 and len(training.test()[0]) == 6


def test_each_batch_has_the_votes_of_its_clips_in_the_order_of_the_pools_classes(voted, tmp_path):
    other = cache(tmp_path, "other", [clip("Sad", 20, votes=(3, 1)), clip("Happy", 21)], ("Sad", "Happy"))
    pool = open_pool(other, voted)
    assert pool.labels == ("sadness", "Happy", "anger", "fear")
    dataset = clip_dataset(pool, pool.clips, pool.labels, ViewSpec(frames=2, votes=True))
    plan = [[Request(0), Request(1), Request(2), Request(4), Request(5, counts=False)]]
    (batch,) = Loader(dataset, 0, torch.device("cpu")).batches(plan)
    expected = [[0.75, 0.25, 0, 0], [0, 1, 0, 0], [0, 0, 0.75, 0.25], [0, 0, 0.5, 0.5], [0, 0, 0, 0]]
    torch.testing.assert_close(batch.targets, torch.tensor(expected))
    assert batch.labels.tolist() == [0, 1, 2, -1, -1] and batch.counted.tolist() == [True] * 4 + [False]


def test_ties_are_counted_at_the_start_and_only_trained_on_with_soft_labels(voted, tmp_path):
    for flags, clips, line in (
        (
            (),
            6,
            "2 without a label (2 of them with votes: `train run --soft-labels` trains on those that are not tested)",
        ),
        (("--soft-labels",), 8, "7 training clips with votes, 2 of them without a majority"),
    ):
        outcome = done("run", voted, "--out", tmp_path / f"run{clips}", *TINY, *flags)
        assert line in outcome.stderr and f"{clips} training clips, 3 classes" in outcome.stderr
        assert len(pl.read_parquet(tmp_path / f"run{clips}" / "predictions.parquet")) == 6
    done("evaluate", tmp_path / "run8", voted, "--clips", "train")


def test_soft_labels_without_votes_are_refused(tmp_path):
    plain = cache(tmp_path, "plain", [clip("ab"[n % 2], n) for n in range(4)])
    line = refused("run", plain, "--out", tmp_path / "run", *TINY, "--soft-labels")
    assert f"--soft-labels: no training clip of {plain} has votes; extract" in line


def test_votes_without_a_majority_in_any_training_clip_are_refused(tmp_path):
    tied = [clip(None, n, split="train", votes=(1, 1)) for n in range(4)]
    made = cache(tmp_path, "tied", [*tied, clip("a", 4, split="test", votes=(2, 1))], labels=["a", "b"])
    assert "no usable training clip has a label" in refused(
        "run", made, "--out", tmp_path / "run", *TINY, "--soft-labels"
    )


def test_other_votes_are_another_run(voted, tmp_path):
    changed = shutil.copytree(voted, tmp_path / "voted")
    done("run", changed, "--out", tmp_path / "run", *TINY, "--soft-labels")
    table = pl.read_parquet(changed / "clips.parquet")
    table.with_columns(votes=pl.col("votes").list.reverse()).write_parquet(changed / "clips.parquet")
    assert "other clips" in refused("run", changed, "--out", tmp_path / "run", *TINY, "--soft-labels")


EVERYTHING = (
    *(
        *TINY,
        "--batch-size",
        3,
        "--epochs",
        3,
        "--soft-labels",
        "--loaded-lr",
        0.1,
        "--class-weights",
        "effective",
    ),
    *("--logit-adjustment", 0.5, "--accumulate", 2, *made_up.EXTRAS),
)


@pytest.fixture(scope="module")
def pretrained(voted, tmp_path_factory):
    out = tmp_path_factory.mktemp("pretrained") / "run"
    done("run", voted, "--out", out, *TINY, "--num-frames", 1)
    return out


def test_a_killed_run_with_votes_and_slow_loaded_weights_resumes_without_the_file_it_started_from(
    voted, pretrained, program, tmp_path
):
    start = shutil.copytree(pretrained, tmp_path / "start")
    call = (*EVERYTHING, "--init-from", start)
    done("run", voted, "--out", tmp_path / "never", *call)
    out = tmp_path / "killed"
    command = [program("train"), "run", voted, "--out", out, *call, "--resume", "--save-minutes", 0]
    process = subprocess.Popen([*map(str, command)], stderr=subprocess.PIPE, text=True)
    while not (out / "last.pt").exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.002)
    process.kill()
    process.communicate()
    shutil.rmtree(start)
    done("run", voted, "--out", out, *call, "--resume")
    assert_same_run(out, tmp_path / "never")
    groups = [
        checkpoint.load(run / "last.pt").state["optimiser"]["param_groups"]
        for run in (out, tmp_path / "never")
    ]
    assert groups[0] == groups[1] and [group["factor"] for group in groups[0]] == [1, 1, 0.1, 0.1]


def test_two_processes_train_on_votes_like_one_that_accumulates(
    one_thread, voted, pretrained, ranks, tmp_path
):
    # SGD, since Adam's first steps have the size of the learning rate whatever the gradient, rounding included.
    call = (*TINY, "--batch-size", 5, "--soft-labels", "--loaded-lr", 0.1, "--optimiser", "sgd")
    call = (*call, "--learning-rate", 0.01, "--init-from", pretrained, "--class-weights", "inverse")
    one, two = tmp_path / "one", tmp_path / "two"
    done("run", voted, "--out", one, *call, "--accumulate", 2)
    outcome = ranks(2, "run", voted, "--out", two, *call)
    assert outcome.returncode == 0, outcome.stderr
    rows = [pl.read_csv(out / "metrics.csv").row(0, named=True) for out in (one, two)]
    assert rows[0]["train_loss"] == pytest.approx(rows[1]["train_loss"], rel=1e-5)
    # Batch statistics are those of the first process's parts.
    models = [checkpoint.load(out / "last.pt").model for out in (one, two)]
    for name in ("clip_head.weight", "backbone.conv1.weight", "temporal.positions"):
        torch.testing.assert_close(models[0][name], models[1][name], rtol=1e-4, atol=1e-6)
