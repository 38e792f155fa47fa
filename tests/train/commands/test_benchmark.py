import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from dfer.data_manifest.published_results import costs
from dfer.train.commands import benchmark
from dfer.train.commands.describe import network_parts
from dfer.train.commands.timed_network import TimedNetwork
from dfer.train.config import load_config

SIZE = ("--preset", "quick", "--image-size", 32, "--num-frames", 2)
CONFIG = load_config("quick", {"image_size": 32, "num_frames": 2})
TOO_LARGE = 10**9


@pytest.fixture(scope="module")
def measured():
    """Both tasks with 4 clips at once, and with more than fit into any memory, from a large process."""
    ballast = np.ones(2**30, np.uint8)
    rows = list(benchmark.measure_models({"": CONFIG}, 7, (TOO_LARGE, 4), "cpu", 0))
    del ballast
    return rows


@pytest.fixture
def printed(here, measured, monkeypatch):
    """What `train benchmark` prints of these measurements."""
    monkeypatch.setattr(benchmark, "measure_models", lambda *_, **__: iter(measured))

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
    assert content["measured"] == json.loads(json.dumps([dataclasses.asdict(row) for row in measured]))
    assert content["models"] == [
        {
            "model": "quick",
            "num_frames": 2,
            "image_size": 32,
            "parameters": network.parameters,
            "multiply_adds": network.multiply_adds,
        }
    ]


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


SMALL = ("--num-frames", 2, "--image-size", 32, "--batch-sizes", 2, "--seconds", 0, "--device", "cpu")
SPEEDS = Path(__file__).parents[2] / "benchmarks" / "speed.py"
BROKEN = """
from mine import MyNetwork, MySettings

class Broken(MyNetwork):
    def forward(self, given):
        return super().forward(given._replace(frames=given.frames[..., 0]))
"""


@pytest.fixture(scope="module")
def models(here, tmp_path_factory):
    """A benchmark of four models with the fastest way to run each; one is a user's own, and one cannot run."""
    folder = tmp_path_factory.mktemp("models")
    readme = (Path(__file__).parents[3] / "train" / "models" / "README.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```", readme, re.M | re.S)
    (folder / "mine.py").write_text(code)
    (folder / "broken.py").write_text(BROKEN)
    (folder / "map.toml").write_text("[network]\nstage_strides = [1, 2, 2, 2]\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(folder)
        patch.setenv("PYTHONPATH", str(folder))
        models = "c3d,map.toml,mine.py:MyNetwork,broken.py:Broken"
        outcome = here("train", "benchmark", "--model", models, *SMALL, "--fastest", "--no-compile", "--json")
    assert outcome.returncode == 0, outcome.stderr
    return json.loads(outcome.stdout)


def test_several_models_are_timed_at_one_input_relative_to_the_first(models):
    assert [each["model"] for each in models["models"]] == [
        *("c3d", "map.toml", "mine.py:MyNetwork", "broken.py:Broken")
    ]
    assert {(each["num_frames"], each["image_size"]) for each in models["models"]} == {(2, 32)}
    assert [(row["model"], row["task"]) for row in models["measured"][::4]] == [
        ("c3d", "training"), ("c3d", "inference")
    ]  # fmt: skip
    for row in models["measured"]:
        assert (row["relative"] is None) == (row["model"] in ("c3d", "broken.py:Broken"))
    own = next(
        row for row in models["measured"] if row["model"].startswith("mine") and row["task"] == "inference"
    )
    assert own["relative"] > 1


def test_a_model_that_cannot_run_is_a_phrase_and_does_not_end_the_others(models):
    broken = [row for row in models["measured"] if row["model"] == "broken.py:Broken"]
    assert all("it cannot score clips: RuntimeError: " in row["failure"] for row in broken)
    assert not any(row["tried"] for row in broken)
    assert "\n" not in broken[0]["failure"]
    assert all(row["clips_per_second"] > 0 for row in models["measured"] if row not in broken)


def test_the_ways_to_run_a_model_are_tried_and_one_that_fails_is_a_phrase(models):
    for row in models["measured"]:
        ways = {each["way"]: each for each in row["tried"]}
        assert all((each["speedup"] is None) != (each["failure"] is None) for each in ways.values())
        if row["model"] == "map.toml":
            training = row["task"] == "training"
            wanted = (
                {"channels-last"} if training else {"fused batch norm", "fused batch norm + channels-last"}
            )
            assert wanted <= {way for way in ways if not ways[way]["failure"]}
            assert any("bfloat16" in way for way in ways)
    (row,) = (row for row in models["measured"] if (row["model"], row["task"]) == ("c3d", "inference"))
    ways = {each["way"]: each["failure"] for each in row["tried"]}
    assert ways["fused batch norm"] == "no batch norm follows a convolution"
    assert not any("fused" in way for way in ways if way != "fused batch norm")


def test_a_table_for_a_readme_is_made_of_the_json(models):
    script = [sys.executable, str(SPEEDS)]
    outcome = subprocess.run(script, input=json.dumps(models), capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stderr
    head, _, *rows = outcome.stdout.splitlines()
    assert head.count("|") == 10 and len(rows) == 4 and all(row.count("|") == 10 for row in rows)
    assert "fails" in rows[3] and "M |" in rows[0]


def test_a_network_compiles_only_with_a_compiler_and_the_reason_is_shown(cli):
    call = ("--model", "resnet18,vit", *SMALL, "--task", "inference", "--fastest")
    outcome = cli("train", "benchmark", *call, CXX="/missing", COLUMNS="80")
    assert outcome.returncode == 0, outcome.stderr
    assert "training" not in outcome.stdout
    tables, notes = outcome.stdout.split("Relative: ")
    assert max(map(len, tables.splitlines())) <= 80 and "16" not in tables.split("resnet18")[0]
    compiled = [
        line for line in notes.splitlines() if "compile: --compile on cpu needs a C++ compiler" in line
    ]
    assert len(compiled) == 2 and all("/missing: No such file" in line for line in compiled)


def test_each_model_may_have_the_input_of_its_preset(here, monkeypatch):
    asked = []
    monkeypatch.setattr(
        benchmark, "measure_models", lambda configs, *_, **__: asked.append(configs) or iter(())
    )
    for flags in ((), ("--own-input",), ("--own-input", "--num-frames", 4)):
        assert here("train", "benchmark", "--model", "lean,former-dfer", *flags, "--json").returncode == 0
    sizes = [[(c.data.num_frames, c.data.image_size) for c in configs.values()] for configs in asked]
    assert sizes == [[(16, 112)] * 2, [(16, 64), (16, 112)], [(4, 64), (4, 112)]]


@pytest.mark.parametrize(
    ("flags", "message"),
    [(("--model", "a,b"), "none of this name"), (("--model", "vit,i3d", "--depth", 2), "No such option")],
)
def test_models_that_do_not_exist_and_flags_of_one_network_are_refused(here, flags, message):
    outcome = here("train", "benchmark", *flags)
    assert outcome.returncode in (1, 2) and message in outcome.stderr and "Traceback" not in outcome.stderr


@pytest.mark.parametrize("preset", ["paper", "former-dfer", "densenet", "i3d", "logo-former"])
def test_scores_stay_the_same_when_batch_norms_are_fused(preset):
    config = load_config(preset, {"num_frames": 16, "image_size": 64})
    timed = TimedNetwork(config, 7, "inference", "cpu")
    timed.prepare(1)
    torch.testing.assert_close(timed.repetition(config, fuse=True)(), timed.plain(), rtol=1e-4, atol=1e-4)
