"""Two gloo processes train like one that accumulates the same parts, and only the first one prints and writes."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress

import made_up
import polars as pl
import pytest
import torch

from dfer.train.data.dataset import Request
from dfer.train.engine import checkpoint

# SGD: Adam's first steps have the size of the learning rate whatever the gradient, rounding included.
SETTINGS = (
    *("--preset", "quick", "--image-size", 64, "--num-frames", 4, "--stage-strides", "1,2,1,2", "--depth", 1),
    *(
        "--epochs",
        2,
        "--batch-size",
        4,
        "--optimiser",
        "sgd",
        "--learning-rate",
        0.01,
        "--flip",
        "--mixup",
        0.2,
    ),
    *("--ema-decay", 0.9, "--clip-norm", 1, "--class-weights", "inverse"),
)
TWO_PARTS = ("--accumulate", 2)  # in each of two processes


@pytest.fixture(scope="module")
def torchrun(program):
    """Start `train` with torchrun, in its own process group."""

    def start(processes, *arguments):
        meeting = ("--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0")
        start = (
            program("torchrun"),
            "--nproc-per-node",
            processes,
            *meeting,
            "--no-python",
            program("train"),
        )
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen([*map(str, (*start, *arguments))], **pipes, start_new_session=True)

    return start


@pytest.fixture(scope="module")
def two_processes(torchrun, sample_cache, tmp_path_factory):
    out = tmp_path_factory.mktemp("distributed") / "run"
    process = torchrun(2, "run", sample_cache, "--out", out, *SETTINGS, *TWO_PARTS)
    try:
        stdout, stderr = process.communicate(timeout=300)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    assert process.returncode == 0, stderr
    return out, stdout, stderr


def test_two_processes_train_like_one_that_accumulates_the_same_parts(
    two_processes, here, sample_cache, tmp_path, one_thread
):
    out, *_ = two_processes
    call = ("train", "run", sample_cache, *SETTINGS, "--out")
    outcome = here(*call, tmp_path / "run", "--accumulate", 4)
    assert outcome.returncode == 0, outcome.stderr
    assert here(*call, tmp_path / "undivided").returncode == 0
    folders = (out, tmp_path / "run", tmp_path / "undivided")
    # Two steps an epoch, the second of which has two clips: one for each process.
    both, one, undivided = (pl.read_csv(folder / "metrics.csv") for folder in folders)
    for name in ("train_war", "train_uar"):
        assert both[name].to_list() == one[name].to_list(), name
    assert both["train_loss"][0] == pytest.approx(one["train_loss"][0], rel=1e-5)
    # Rounding grows from step to step, on some CPUs to 5e-4 of the loss. Undivided, batch norm sees other batches.
    near, far = ((each["train_loss"] - one["train_loss"]).abs().max() for each in (both, undivided))
    assert near < far / 10
    saved = [checkpoint.load(folder / "last.pt") for folder in folders]
    for weights in ([kept.model for kept in saved], [kept.state["weights"] for kept in saved]):
        learnt = [name for name in weights[0] if "running" not in name and "batches" not in name]
        near, far = (
            max((weights[k][name] - weights[1][name]).abs().max().item() for name in learnt) for k in (0, 2)
        )
        assert near < far / 10


def test_only_the_first_process_prints_and_writes(two_processes):
    out, stdout, stderr = two_processes
    assert stdout.count("next: ") == 1
    assert stderr.count("epoch 2/2") == 1
    assert len(pl.read_parquet(out / "predictions.parquet")) == 6


def test_a_finished_run_is_left_alone_by_two_processes_too(ranks, two_processes, sample_cache):
    out, *_ = two_processes
    outcome = ranks(2, "run", sample_cache, "--out", out, *SETTINGS, *TWO_PARTS)
    assert outcome.returncode == 0 and outcome.stdout.count("nothing to do") == 1


@pytest.fixture(scope="module")
def terminated(torchrun, sample_cache, tmp_path_factory):
    """A run of two processes that SIGTERM stopped after its first step."""
    out = tmp_path_factory.mktemp("terminated") / "run"
    process = torchrun(2, "run", sample_cache, "--out", out, *SETTINGS, *TWO_PARTS, "--save-minutes", 0)
    while not (out / "last.pt").exists():
        assert process.poll() is None
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGTERM)
    _, stderr = process.communicate(timeout=120)
    # torchrun passes on a signal that the group has already received: that is not a second request.
    assert process.returncode != 0 and stderr.count("stopping after this step") == 2, stderr
    kept = checkpoint.load(out / "last.pt")
    assert 0 < kept.epoch * 6 + kept.consumed < 12
    return out


def test_two_processes_resume_to_the_weights_of_two_that_never_stopped(
    ranks, terminated, two_processes, sample_cache, tmp_path
):
    out = shutil.copytree(terminated, tmp_path / "run")
    again = ranks(2, "run", sample_cache, "--out", out, *SETTINGS, *TWO_PARTS, "--resume")
    assert again.returncode == 0 and re.search("(going on|resuming) after", again.stderr), again.stderr
    one, other = (checkpoint.load(folder / "last.pt") for folder in (out, two_processes[0]))
    assert_same(one.model, other.model)
    assert_same(one.state["weights"], other.state["weights"])
    for mine, theirs in zip(
        *(kept.state["optimiser"]["state"].values() for kept in (one, other)), strict=True
    ):
        assert_same(mine, theirs)


def test_one_process_resumes_what_two_started_and_warns_about_the_difference(
    terminated, here, sample_cache, tmp_path
):
    out = shutil.copytree(terminated, tmp_path / "run")
    outcome = here("train", "run", sample_cache, "--out", out, *SETTINGS, *TWO_PARTS, "--resume")
    assert outcome.returncode == 0, outcome.stderr
    assert re.search("warning: (processes: 1 now, 2 before|1 instead of 2 processes)", outcome.stderr)
    kept = checkpoint.load(out / "last.pt")
    assert (kept.epoch, kept.consumed) == (2, 0)


def assert_same(one, other):
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_more_processes_than_clips_in_a_step_take_equally_many_steps(ranks, sample_cache, tmp_path):
    """The second step has two clips for three processes: the third's part is a clip that does not count."""
    out = tmp_path / "run"
    three = ranks(3, "run", sample_cache, "--out", out, *SETTINGS)
    assert three.returncode == 0, three.stderr
    assert len(pl.read_csv(out / "metrics.csv")) == 2
    kept = checkpoint.load(out / "last.pt")
    assert (kept.epoch, kept.consumed) == (2, 0)
    assert all(torch.isfinite(value).all() for value in kept.model.values() if value.is_floating_point())


def test_sigterm_ends_a_process_that_waits_for_one_that_never_comes(
    program, free_port, sample_cache, tmp_path
):
    port = free_port()
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


def test_an_error_in_all_processes_is_printed_once(ranks, sample_cache, tmp_path):
    outcome = ranks(2, "run", sample_cache, "--out", tmp_path / "run", *SETTINGS, "--fold", 3)
    assert outcome.returncode == 1
    assert outcome.stderr.count("train: --fold 3: no folds in ") == 1


NAN = """
from dataclasses import dataclass

import torch

from dfer.schemas.support.settings import setting
from dfer.train.models.interface import ClipNetwork, Scores, Source
from dfer.train.models.settings import NetworkSettings


@dataclass(frozen=True, kw_only=True)
class Settings(NetworkSettings):
    while_training: bool = setting(False, "whether its scores are NaN in training, or else in evaluation")


class Nan(ClipNetwork):
    Config = Settings
    source = Source(citation="a test")

    def __init__(self, settings, task):
        super().__init__(task)
        self.wrong = settings.while_training
        self.head = torch.nn.Linear(3, task.classes)

    def forward(self, given):
        number = torch.nan if self.training == self.wrong else 1
        return Scores(self.head(given.frames.mean((1, 3, 4))) * number)
"""


@pytest.mark.parametrize(
    ("while_training", "message"),
    [
        (True, "the loss is nan in epoch 1, clips 1001_DFA_"),
        (False, "the network's scores are not numbers (NaN)"),
    ],
)
def test_what_is_nan_is_reported_once(ranks, sample_cache, tmp_path, while_training, message):
    (tmp_path / "nan.py").write_text(NAN)
    model = (
        "--model",
        f"{tmp_path / 'nan.py'}:Nan",
        "--while-training" if while_training else "--no-while-training",
    )
    short = ("--image-size", 32, "--num-frames", 2, "--epochs", 1, "--batch-size", 6)
    outcome = ranks(2, "run", sample_cache, "--out", tmp_path / "run", *model, *short)
    lines = [line for line in outcome.stderr.splitlines() if line.startswith("train: ")]
    assert outcome.returncode and len(lines) == 1, outcome.stderr
    assert lines[0].startswith(f"train: {message}")
    assert lines[0].count("1001_DFA_") == (6 if while_training else 0)  # the clips of both processes


def test_two_processes_cross_validate_folds_and_the_first_sums_them_up(ranks, here, tmp_path):
    clips = [made_up.clip("ab"[n % 2], n, subject=f"s{n // 2}") for n in range(8)]
    cache = made_up.cache(tmp_path, "made-up", clips)
    one_clip_each = (*made_up.TINY, "--batch-size", 2)
    call = ("crossval", cache, "--out", tmp_path / "cv", "--folds", "subject:2", *one_clip_each, "--json")
    for outcome in (ranks(2, *call), here("train", *call)):  # the second time it is finished
        assert outcome.returncode == 0, outcome.stderr
        rows = {row["fold"]: row for row in json.loads(outcome.stdout)["rows"]}
        assert list(rows) == ["1", "2", "mean", "sd", "pooled"] and rows["pooled"]["clips"] == 8
        assert outcome.stderr.splitlines().count("fold 2 of 2") == 1
        assert "UserWarning" not in outcome.stderr


def test_two_processes_sweep_variants_and_the_first_compares_them(ranks, tmp_path):
    cache = made_up.cache(tmp_path, "made-up", [made_up.clip("ab"[n % 2], n) for n in range(4)])
    sweep = tmp_path / "two.toml"
    sweep.write_text(
        'title = "t"\nbase = "quick"\naxis = "heads"\n'
        '[[variant]]\nname = "1"\nset = { heads = 1 }\n[[variant]]\nname = "2"\nset = { heads = 2 }\n'
    )
    outcome = ranks(2, "sweep", sweep, cache, "--out", tmp_path / "out", *made_up.TINY[2:], "--json")
    assert outcome.returncode == 0, outcome.stderr
    assert [row["variant"] for row in json.loads(outcome.stdout)["rows"]] == ["baseline", "1", "2"]


@pytest.mark.parametrize("parts", [2, 5])
def test_a_short_step_is_not_divided_into_parts_without_clips(sample_cache, parts):
    """Two clips in at most so many parts: batch norm sees two batches."""
    size = {"image_size": 32, "num_frames": 2, "stage_strides": (1, 2, 2, 2), "batch_size": 2, "epochs": 1}
    training = made_up.training(sample_cache, "quick", {**size, "accumulate": parts})
    next(training.steps())
    assert training.learner.network.backbone.bn1.num_batches_tracked == 2


def test_a_clip_that_only_fills_a_batch_changes_no_gradient(sample_cache):
    size = {"image_size": 32, "num_frames": 2, "stage_strides": (1, 2, 2, 2)}
    training = made_up.training(sample_cache, "quick", size)
    (batch,) = training.loader.batches([[Request(2, 0, 0, counts=False)]])
    training.learner.zero_grad()
    matrix = training.learner.accumulate(batch, 1.0, mix=0.7)[1:]
    gradients = [weight.grad for weight in training.learner.network.parameters()]
    assert matrix.sum() == 0 and all(gradient is not None for gradient in gradients)  # as DDP needs
    assert all((gradient == 0).all() for gradient in gradients)
