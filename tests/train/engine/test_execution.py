"""Execution settings change the losses by rounding only."""

import shutil

import made_up
import pytest

SMALL = {"image_size": 32, "num_frames": 2, "batch_size": 3, "stage_strides": (1, 2, 2, 2), "depth": 1}
SMALL["learning_rate"] = 1e-5  # at 1e-3, Adam on three clips amplifies the last digit

needs_compiler = pytest.mark.skipif(
    not (shutil.which("g++") or shutil.which("clang++")), reason="torch.compile needs a C++ compiler"
)


def losses(folder, **execution):
    """The losses of the two steps of an epoch on the six clips."""
    training = made_up.training(folder, "paper", {**SMALL, **execution})
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
