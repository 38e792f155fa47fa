import json

import numpy as np
import pytest

from dfer.data_manifest.published_results import costs
from dfer.train.commands import benchmark
from dfer.train.commands.describe import network_parts
from dfer.train.config import load_config

SIZE = ("--preset", "quick", "--image-size", 32, "--num-frames", 2)
CONFIG = load_config("quick", {"image_size": 32, "num_frames": 2})
TOO_LARGE = 10**9


@pytest.fixture(scope="module")
def measured():
    """Both tasks with 4 clips at once, and with more than fit into any memory, from a large process."""
    ballast = np.ones(2**30, np.uint8)
    rows = list(benchmark.measure_all(CONFIG, 7, (TOO_LARGE, 4), "cpu", 0))
    del ballast
    return rows


@pytest.fixture
def printed(here, measured, monkeypatch):
    """What `train benchmark` prints of these measurements."""
    monkeypatch.setattr(benchmark, "measure_all", lambda *_: iter(measured))

    def call(*flags: str) -> str:
        outcome = here("train", "benchmark", *SIZE, *flags)
        assert outcome.returncode == 0, outcome.stderr
        return outcome.stdout

    return call


def test_every_task_is_timed_at_every_batch_size(measured):
    assert [(row.task, row.batch_size) for row in measured] == [
        ("training", TOO_LARGE), ("training", 4), ("inference", TOO_LARGE), ("inference", 4),
    ]  # fmt: skip
    training, inference = measured[1], measured[3]
    assert all(row.repetitions >= 3 and not row.failure for row in (training, inference))
    assert 0 < training.clips_per_second < inference.clips_per_second


def test_running_out_of_memory_does_not_end_the_other_measurements(measured):
    assert [row.failure for row in measured] == ["out of memory", None, "out of memory", None]


def test_training_memory_covers_weights_gradients_and_moments_even_if_the_parent_process_is_larger(measured):
    weights = 4 * network_parts(CONFIG, 7)[-1].parameters
    assert measured[1].memory > 4 * weights


def test_json_has_the_measurements_and_the_networks_size(printed, measured):
    content, network = json.loads(printed("--json")), network_parts(CONFIG, 7)[-1]
    assert content["measured"] == [vars(row) for row in measured]
    assert content["parameters"] == network.parameters
    assert content["multiply_adds"] == network.multiply_adds


def test_the_measurements_are_printed_above_table_8(printed):
    output = printed()
    assert output.count("out of memory") == 2
    for method, params, *_ in costs().iter_rows():
        assert any(method in line and f"{params:g} M" in line for line in output.splitlines())


def test_what_makes_the_work_different_from_the_published_is_printed_and_no_input_size_is_called_published(
    printed,
):
    output = " ".join(printed().split())
    assert "2 frames; published: 16" in output
    assert "other parts than the preset paper" in output
    assert "does not print its input size" in output and "112" not in output


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (("--device", "cuda:9"), 1, "--device cuda:9"),
        (("--batch-sizes", "0"), 2, "--batch-sizes 0"),
        (("--batch-sizes", "many"), 2, "not a list of numbers"),
        (("--epochs", "3"), 2, "No such option"),
    ],
)
def test_a_wrong_flag_is_a_one_line_error(here, flags, code, message):
    outcome = here("train", "benchmark", *SIZE, "--seconds", 0, *flags)
    assert outcome.returncode == code
    assert message in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_table_8_is_read_as_printed():
    row = costs().filter(method="Huang et al. 2024").row(0, named=True)
    assert (row["params"], row["samples_per_second"], row["hours"]) == (17, 52, 6)
    assert "print 18 M" in costs().filter(method="Former-DFER")["remark"][0]
