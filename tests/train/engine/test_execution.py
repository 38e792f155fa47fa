"""Execution settings change the losses by rounding only."""

import shutil

import made_up
import pytest
import torch
from small_networks import flags, small

from dfer.schemas.support.errors import UserError
from dfer.train.engine.device import check_compiler

SMALL = {"image_size": 32, "num_frames": 2, "batch_size": 3, "stage_strides": (1, 2, 2, 2), "depth": 1}
SMALL["learning_rate"] = 1e-5  # at 1e-3, Adam on three clips amplifies the last digit

needs_compiler = pytest.mark.skipif(
    not (shutil.which("g++") or shutil.which("clang++")), reason="torch.compile needs a C++ compiler"
)


def losses(folder, **execution):
    """The losses of the two steps of an epoch on the six clips."""
    return losses_of(folder, {**SMALL, **execution})


def losses_of(folder, settings):
    training = made_up.training(folder, "paper", settings)
    return [totals.mean_loss for totals in training.steps()]


@pytest.fixture(scope="module")
def plain(sample_cache):
    return losses(sample_cache)


@pytest.mark.parametrize(
    ("execution", "tolerance"),
    [
        ({"channels_last": True}, 1e-4),
        ({"precision": "bfloat16"}, 0.05),
        ({"precision": "float16"}, 0.05),
        pytest.param({"compile": True}, 1e-4, marks=needs_compiler),
    ],
    ids=str,
)
def test_losses_stay_the_same(sample_cache, plain, execution, tolerance):
    found = losses(sample_cache, **execution)
    assert found == pytest.approx(plain, rel=tolerance)
    # The option has an effect: sums are in another order.
    assert found != plain


def test_a_network_of_3d_convolutions_takes_channels_last(sample_cache):
    settings = {**small("resnet3d-18"), "batch_size": 3}
    found = losses_of(sample_cache, {**settings, "channels_last": True})
    assert found == pytest.approx(losses_of(sample_cache, settings), rel=1e-4)


def test_gradients_that_torch_gets_wrong_are_refused_before_the_folder_is_claimed(sample_cache, tmp_path):
    """tests/benchmarks/conv3d_gradients.py shows how wrong they are."""
    settings = ("--preset", "quick", *flags(small("c3d")), "--device", "cpu", "--precision", "bfloat16")
    line = made_up.refused("run", sample_cache, "--out", tmp_path / "out", *settings)
    assert "--precision bfloat16 on cpu" in line and "3D convolutions" in line and "use float32" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["run", "crossval"])
def test_compiling_without_a_compiler_is_refused_before_the_folder_is_claimed(
    sample_cache, tmp_path, monkeypatch, command
):
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("CXX", raising=False)
    folds = ("--folds", "subject:2") if command == "crossval" else ()
    clips = [made_up.clip("ab"[n % 2], n, subject="xy"[n // 2 % 2]) for n in range(8)]
    cache = made_up.cache(tmp_path, "made-up", clips)
    outcome = made_up.train(command, cache, "--out", tmp_path / "out", *made_up.TINY, *folds, "--compile")
    line = outcome.stderr.splitlines()[-1]
    assert outcome.exit_code == 1 and "--compile on cpu needs a C++ compiler" in line and "g++" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(shutil.which("sh") is None, reason="the compiler is a shell script")
def test_a_compiler_that_fails_is_reported_with_its_own_words(tmp_path, monkeypatch):
    compiler = tmp_path / "compiler"
    compiler.write_text("#!/bin/sh\necho 'Python.h: No such file' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    with pytest.raises(UserError, match=r"Python\.h: No such file.*python3-dev"):
        check_compiler(torch.device("cpu"))


@needs_compiler
def test_a_working_compiler_is_accepted():
    check_compiler(torch.device("cpu"))
