"""Two gloo processes and one that accumulates the same two parts are the same training."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import made_up
import polars as pl
import pytest
import torch

from dfer.train.data.dataset import Request
from dfer.train.engine import checkpoint

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
TRAIN = Path(sys.executable).with_name("train")
ONE_THREAD = {"OMP_NUM_THREADS": "1"}


def started(processes, *arguments):
    start = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", processes]
    command = [
        *start,
        "--rdzv-backend",
        "c10d",
        "--rdzv-endpoint",
        "localhost:0",
        "--no-python",
        TRAIN,
        *arguments,
    ]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(list(map(str, command)), **pipes, start_new_session=True)


def torchrun(processes, *arguments):
    process = started(processes, *arguments)
    try:
        stdout, stderr = process.communicate(timeout=300)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


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


def test_sigterm_ends_a_process_that_waits_for_one_that_never_comes(program, sample_cache, tmp_path):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    alone = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "localhost"}
    command = [program("train"), "run", sample_cache, "--out", tmp_path / "run", *SETTINGS]
    process = subprocess.Popen([*map(str, command)], env={**os.environ, **alone, "MASTER_PORT": str(port)})
    while process.poll() is None:
        with suppress(ConnectionRefusedError), socket.create_connection(("localhost", port)):
            break  # it waits at the meeting point
        time.sleep(0.1)
    process.terminate()
    try:
        assert process.wait(timeout=20) in (-signal.SIGTERM, 143)
    finally:
        process.kill()


def test_only_the_first_process_speaks_and_writes(two_processes):
    out, outcome = two_processes
    assert outcome.stdout.count("network, judged on the clips it was trained on") == 1
    assert outcome.stderr.count("epoch 2/2") == 1
    assert len(pl.read_parquet(out / "predictions.parquet")) == 6


def test_a_finished_run_is_nothing_to_do_for_two_processes_too(two_processes, sample_cache):
    out, _ = two_processes
    outcome = torchrun(2, "run", sample_cache, "--out", out, *SETTINGS)
    assert outcome.returncode == 0 and outcome.stdout.count("nothing to do") == 1


def test_more_processes_than_clips_in_a_step_take_equal_steps(two_processes, sample_cache, tmp_path):
    """The second step has two clips for three processes: the third's part is a clip that does not count."""
    out = tmp_path / "run"
    three = torchrun(3, "run", sample_cache, "--out", out, *SETTINGS)
    assert three.returncode == 0, three.stderr
    rows, both = (pl.read_csv(folder / "metrics.csv") for folder in (out, two_processes[0]))
    assert len(rows) == len(both)
    kept = checkpoint.load(out / "last.pt")
    assert (kept.epoch, kept.consumed) == (2, 0)
    assert all(torch.isfinite(value).all() for value in kept.model.values() if value.is_floating_point())


EXTRAS = ("--ema-decay", 0.9, "--clip-norm", 1, "--class-weights", "inverse", "--precision", "float16")
EXTRAS = (*SETTINGS, *EXTRAS, "--accumulate", 2, "--save-minutes", 0)


@pytest.fixture(scope="module")
def never_stopped(sample_cache, tmp_path_factory):
    out = tmp_path_factory.mktemp("never") / "run"
    outcome = torchrun(2, "run", sample_cache, "--out", out, *EXTRAS)
    assert outcome.returncode == 0, outcome.stderr
    return out


@pytest.fixture(scope="module")
def terminated(sample_cache, tmp_path_factory):
    """A run of two processes that SIGTERM has stopped after its first step."""
    out = tmp_path_factory.mktemp("terminated") / "run"
    process = started(2, "run", sample_cache, "--out", out, *EXTRAS)
    while not (out / "last.pt").exists():
        assert process.poll() is None
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGTERM)
    _, said = process.communicate(timeout=120)
    # torchrun passes on what the group has heard already: that is no second wish.
    assert process.returncode != 0 and said.count("stopping after this step") == 2, said
    kept = checkpoint.load(out / "last.pt")
    assert 0 < kept.epoch * 6 + kept.consumed < 12
    return out


def test_two_processes_go_on_to_the_weights_of_two_that_never_stopped(
    terminated, never_stopped, sample_cache, tmp_path
):
    out = shutil.copytree(terminated, tmp_path / "run")
    again = torchrun(2, "run", sample_cache, "--out", out, *EXTRAS, "--resume")
    assert again.returncode == 0 and "going on after" in again.stderr, again.stderr
    one, other = (checkpoint.load(folder / "last.pt") for folder in (out, never_stopped))
    assert_same(one.model, other.model)
    assert_same(one.state["weights"], other.state["weights"])
    assert one.state["scaler"] == other.state["scaler"]
    for mine, theirs in zip(
        *(kept.state["optimiser"]["state"].values() for kept in (one, other)), strict=True
    ):
        assert_same(mine, theirs)


def test_one_process_goes_on_where_two_stopped_and_says_what_differs(terminated, cli, sample_cache, tmp_path):
    out = shutil.copytree(terminated, tmp_path / "run")
    outcome = cli("train", "run", sample_cache, "--out", out, *EXTRAS, "--resume", **ONE_THREAD)
    assert outcome.returncode == 0, outcome.stderr
    assert "warning: processes: 1 now, 2 before" in outcome.stderr
    kept = checkpoint.load(out / "last.pt")
    assert (kept.epoch, kept.consumed) == (2, 0)


def assert_same(one, other):
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_what_all_processes_refuse_is_said_once(sample_cache, tmp_path):
    outcome = torchrun(2, "run", sample_cache, "--out", tmp_path / "run", *SETTINGS, "--fold", 3)
    assert outcome.returncode == 1
    assert outcome.stderr.count("train: --fold 3: the cache has no folds") == 1


def test_a_loss_that_is_no_number_names_the_clips_of_all_processes(sample_cache, tmp_path):
    call = ("run", sample_cache, "--out", tmp_path / "run", *SETTINGS, "--learning-rate", 10)
    outcome = torchrun(2, *call, "--precision", "bfloat16", "--epochs", 60)
    lines = [line for line in outcome.stderr.splitlines() if line.startswith("train: the loss is")]
    assert outcome.returncode == 1 and lines, outcome.stderr
    assert lines[0].count("1001_DFA_") in (2, 4)  # the clips of a whole step, each process's half


def test_folds_are_cross_validated_by_two_processes_and_summed_up_by_the_first(tmp_path):
    clips = [made_up.clip("ab"[n % 2], n, subject=f"s{n // 2}") for n in range(8)]
    cache = made_up.cache(tmp_path, "made-up", clips)
    for number in range(2):  # the second time it is finished
        outcome = torchrun(
            2, "crossval", cache, "--out", tmp_path / "cv", "--folds", "subject:2", *made_up.TINY, "--json"
        )
        assert outcome.returncode == 0, outcome.stderr
        rows = {row["fold"]: row for row in json.loads(outcome.stdout)["rows"]}
        assert list(rows) == ["1", "2", "mean", "sd", "pooled"] and rows["pooled"]["clips"] == 8
        assert outcome.stderr.splitlines().count("fold 2 of 2") == 1, number


def test_variants_are_swept_by_two_processes_and_compared_by_the_first(tmp_path):
    cache = made_up.cache(tmp_path, "made-up", [made_up.clip("ab"[n % 2], n) for n in range(4)])
    sweep = tmp_path / "two.toml"
    sweep.write_text(
        'title = "t"\nbase = "quick"\naxis = "heads"\n'
        '[[variant]]\nname = "1"\nset = { heads = 1 }\n[[variant]]\nname = "2"\nset = { heads = 2 }\n'
    )
    outcome = torchrun(2, "sweep", sweep, cache, "--out", tmp_path / "out", *made_up.TINY[2:], "--json")
    assert outcome.returncode == 0, outcome.stderr
    assert [row["variant"] for row in json.loads(outcome.stdout)["rows"]] == ["1", "2"]


@pytest.mark.parametrize("parts", [2, 5])
def test_a_short_step_is_not_accumulated_in_parts_without_clips(sample_cache, parts):
    """Two clips in at most so many parts: batch norm sees two."""
    size = {"image_size": 32, "num_frames": 2, "stage_strides": (1, 2, 2, 2), "batch_size": 2, "epochs": 1}
    training = made_up.training(sample_cache, "quick", {**size, "accumulate": parts})
    next(training.steps())
    assert training.learner.network.backbone.bn1.num_batches_tracked == 2


def test_a_clip_that_only_fills_a_place_changes_no_gradient(sample_cache):
    size = {"image_size": 32, "num_frames": 2, "stage_strides": (1, 2, 2, 2)}
    training = made_up.training(sample_cache, "quick", size)
    (batch,) = training.loader.batches([[Request(2, 0, 0, counts=False)]])
    training.learner.begin()
    matrix = training.learner.add(batch, 1.0, mix=0.7)[1:]
    gradients = [weight.grad for weight in training.learner.network.parameters()]
    assert matrix.sum() == 0 and all(gradient is not None for gradient in gradients)  # as DDP needs
    assert all((gradient == 0).all() for gradient in gradients)
