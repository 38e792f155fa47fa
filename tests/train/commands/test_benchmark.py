import json

import pytest

from dfer.data_manifest.published import costs
from dfer.train.commands.describe import describe
from dfer.train.config import load_config

TINY = ("--preset", "quick", "--image-size", 32, "--num-frames", 2, "--seconds", 0)


@pytest.fixture(scope="module")
def measured(cli):
    outcome = cli("train", "benchmark", *TINY, "--batch-sizes", "1,8", "--json")
    assert outcome.returncode == 0, outcome.stderr
    return json.loads(outcome.stdout)


def test_every_task_is_timed_at_every_batch_size(measured):
    rows = measured["measured"]
    assert [(row["task"], row["batch_size"]) for row in rows] == [
        ("training", 1), ("training", 8), ("inference", 1), ("inference", 8),
    ]  # fmt: skip
    assert all(row["clips_per_second"] > 0 and row["repetitions"] >= 3 and not row["failure"] for row in rows)
    assert rows[1]["clips_per_second"] < rows[3]["clips_per_second"]


def test_the_memory_of_training_holds_weights_gradients_and_moments(measured):
    weights = 4 * measured["parameters"]
    assert all(row["memory"] > 4 * weights for row in measured["measured"] if row["task"] == "training")


def test_parameters_and_multiply_adds_are_those_of_describe(measured):
    whole = describe(load_config("quick", {"image_size": 32, "num_frames": 2}), 7)[-1]
    assert (measured["parameters"], measured["multiply_adds"]) == (whole.parameters, whole.multiply_adds)


def test_what_does_not_fit_is_a_row_that_says_so_and_the_rest_is_measured(cli):
    outcome = cli("train", "benchmark", *TINY, "--batch-sizes", "1000000000,1")
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.count("out of memory") == 2
    assert (
        "published: 16" in outcome.stdout and "other parts" in outcome.stdout
    )  # quick's work is another one
    for method, params, *_ in costs().iter_rows():  # the published table stands beside it
        assert any(method in line and f"{params:g} M" in line for line in outcome.stdout.splitlines())


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (("--device", "cuda:9"), 1, "--device cuda:9"),
        (("--batch-sizes", "0"), 2, "--batch-sizes 0: between 1 and"),
        (("--batch-sizes", "many"), 2, "not a list of numbers"),
        (("--epochs", "3"), 2, "No such option"),
    ],
)
def test_a_wrong_flag_is_one_line(here, flags, code, message):
    outcome = here("train", "benchmark", *TINY, *flags)
    assert outcome.returncode == code
    assert message in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_table_8_is_read_as_printed():
    row = costs().filter(method="Huang et al. 2024").row(0, named=True)
    assert (row["params"], row["samples_per_second"], row["hours"]) == (17, 52, 6)
    assert "print 18 M" in costs().filter(method="Former-DFER")["remark"][0]
