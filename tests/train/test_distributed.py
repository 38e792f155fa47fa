"""Two gloo processes and one that accumulates the same two parts are the same training."""

import subprocess
import sys

import polars as pl
import pytest
import torch

from train import checkpoint

# SGD: Adam's first steps have the size of the learning rate whatever the gradient, rounding included.
SETTINGS = (
    *(
        "--preset",
        "quick",
        "--image-size",
        64,
        "--num-frames",
        4,
        "--stage-strides",
        "1,2,1,2",
        "--epochs",
        2,
    ),
    *("--batch-size", 4, "--optimiser", "sgd", "--learning-rate", 0.01, "--flip", "--mixup", 0.2),
)
# What torchrun gives each process; with another number sums are rounded in another order, and training amplifies it.
ONE_THREAD = {"OMP_NUM_THREADS": "1"}


def torchrun(processes, *arguments):
    start = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", processes]
    command = [*start, "--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0", "-m", "train", *arguments]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def two_processes(sample_cache, tmp_path_factory):
    out = tmp_path_factory.mktemp("distributed") / "run"
    outcome = torchrun(2, "run", sample_cache, "--out", out, *SETTINGS)
    assert outcome.returncode == 0, outcome.stderr
    return out, outcome


def test_two_processes_have_the_losses_of_one_that_accumulates(two_processes, cli, sample_cache, tmp_path):
    out, _ = two_processes
    outcome = cli(
        "train", "run", sample_cache, "--out", tmp_path / "run", *SETTINGS, "--accumulate", 2, **ONE_THREAD
    )
    assert outcome.returncode == 0, outcome.stderr
    both, one = (pl.read_csv(folder / "metrics.csv") for folder in (out, tmp_path / "run"))
    # Two steps an epoch, the second of which has two clips: one for each process.
    for name in ("train_loss", "train_war", "train_uar"):
        assert both[name].to_list() == pytest.approx(one[name].to_list(), rel=1e-5), name
    weights = [checkpoint.load(folder / "last.pt").model for folder in (out, tmp_path / "run")]
    learnt = [name for name in weights[0] if "running" not in name and "batches" not in name]
    change = max((weights[0][name] - weights[1][name]).abs().max().item() for name in learnt)
    assert change < 1e-5
    without = cli("train", "run", sample_cache, "--out", tmp_path / "whole", *SETTINGS, **ONE_THREAD)
    assert without.returncode == 0
    whole = pl.read_csv(tmp_path / "whole" / "metrics.csv")
    assert whole["train_loss"].to_list() != pytest.approx(one["train_loss"].to_list(), rel=1e-5)  # batch norm


def test_only_the_first_process_speaks_and_writes(two_processes):
    out, outcome = two_processes
    assert outcome.stdout.count("network, judged on the test clips") == 1
    assert outcome.stderr.count("epoch 2/2") == 1
    assert len(pl.read_parquet(out / "predictions.parquet")) == 6


def test_a_finished_run_is_nothing_to_do_for_two_processes_too(two_processes, sample_cache):
    out, _ = two_processes
    outcome = torchrun(2, "run", sample_cache, "--out", out, *SETTINGS)
    assert outcome.returncode == 0 and outcome.stdout.count("nothing to do") == 1


def test_a_run_of_two_processes_goes_on_in_one_with_the_same_samples(
    two_processes, cli, sample_cache, tmp_path
):
    """The third process's share of a short step is a clip that does not count; the sequence is the same."""
    out = tmp_path / "run"
    three = torchrun(3, "run", sample_cache, "--out", out, *SETTINGS)
    assert three.returncode == 0, three.stderr
    rows, both = (pl.read_csv(folder / "metrics.csv") for folder in (out, two_processes[0]))
    assert len(rows) == len(both)
    kept = checkpoint.load(out / "last.pt")
    assert (kept.epoch, kept.consumed) == (2, 0)
    assert all(torch.isfinite(value).all() for value in kept.model.values() if value.is_floating_point())


def test_a_part_that_does_not_count_changes_no_gradient(sample_cache):
    from train.config import load_config
    from train.model.network import build
    from train.shards import open_pool
    from train.splits import SplitChoice, choose_split
    from train.training import Training

    cache = open_pool(sample_cache)
    size = {"image_size": 32, "num_frames": 2, "stage_strides": (1, 2, 2, 2), "batch_size": 2, "epochs": 1}
    losses = []
    for parts in (2, 5):  # five parts of two clips: three are filled up
        config = load_config("quick", {**size, "accumulate": parts})
        split = choose_split(cache.clips, SplitChoice(), 0)
        network = build(config.network, 6, 2, seed=0)
        training = Training(config, cache, split, torch.device("cpu"), network)
        losses.append(next((step.loss, step.weight, step.matrix.sum()) for step in training.steps()))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
