"""The benchmark for CUDA cards, small and on the CPU."""

import importlib
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "tests" / "benchmarks" / "gpu.py"
SMALL = ("--device", "cpu", "--num-frames", "2", "--image-size", "32", "--batches", "2", "--seconds", "0.01")

# As on a machine that has torch and numpy only: no other dependency, no installed `dfer`.
BARE = """
import runpy, sys
sys.modules.update(dict.fromkeys(sys.argv[1].split(",")))  # None: an import of it fails
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder)]
sys.path = [folder for folder in sys.path if "__editable__" not in folder]
sys.argv = sys.argv[2:]
sys.path.insert(0, str(__import__("pathlib").Path(sys.argv[0]).parent))
runpy.run_path(sys.argv[0], run_name="__main__")
"""
IMPORTED_AS = {"decord2": "decord", "dlib-bin": "dlib", "pillow": "PIL", "scikit-learn": "sklearn"}


def other_dependencies():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = [line.split(">")[0] for line in project["dependencies"]]
    return {IMPORTED_AS.get(name, name) for name in names} - {"torch", "numpy"}


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    return importlib.import_module("gpu")


def test_it_runs_with_torch_and_numpy_alone_and_prints_one_json(tmp_path):
    blocked = other_dependencies()
    assert {"polars", "pyarrow", "click", "rich"} < blocked
    command = [sys.executable, "-c", BARE, ",".join(blocked), SCRIPT, "--networks", "paper", *SMALL]
    command += ["--compile", "off", "--layouts", "channels_last"]
    outcome = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, cwd=tmp_path, timeout=300
    )
    assert outcome.returncode == 0, outcome.stderr
    report = json.loads(outcome.stdout)
    assert report["machine"]["device"] == "cpu" and report["losses_agree"] is True
    done = {(entry["task"], entry["precision"]) for entry in report["measurements"]}
    assert done == {(t, p) for t in ("training", "inference") for p in ("float32", "bfloat16")}
    for entry in report["measurements"]:
        assert "failure" not in entry and entry["channels_last"] and not entry["compile"]
        slowest, fastest = entry["slowest_and_fastest"]
        assert 0 < slowest <= entry["steps_per_second"] <= fastest
        assert entry["clips_per_second"] == 2 * entry["steps_per_second"]
        assert entry["task"] == "inference" or entry["agrees"]
    assert report["left_out"] == ["paper float32: the largest batch", "paper bfloat16: the largest batch"]


def test_the_usual_networks_and_those_that_take_landmarks_train_and_their_loss_is_that_of_the_cpu(gpu):
    sizes = {"num_frames": 2, "image_size": 32}
    for name in ("paper-7x7", "strong", *gpu.USUAL):
        repeat = gpu.Repetition(gpu.Case(network=name, batch_size=2), sizes, torch.device("cpu"))
        first = {"losses": [repeat().item()], "gradient_norm": repeat.gradient_norm, "precision": "float32"}
        assert gpu.compared(first, first)["agrees"], name
        assert repeat.gradient_norm > 0, name
        gpu.fresh(torch.device("cpu"))


def test_usual_networks_are_listed(gpu):
    assert {*gpu.USUAL} <= {*gpu.NETWORKS}


def test_a_loss_or_a_gradient_that_is_off_or_not_a_number_does_not_agree(gpu):
    right = {"losses": [2.0, 1.0], "gradient_norm": 10.0}

    def agrees(loss, norm, precision="float32"):
        entry = {"losses": [loss, 5.0], "gradient_norm": norm, "precision": precision}
        return gpu.compared(entry, right)["agrees"]

    assert agrees(2.0, 10.0) and agrees(2.0001, 10.05)
    assert not agrees(2.01, 10.0) and not agrees(2.0, 10.5)
    assert agrees(2.01, 10.5, "bfloat16")
    assert not agrees(float("nan"), 10.0) and not agrees(2.0, float("inf"))


def test_a_wrong_loss_ends_with_exit_code_1(gpu, monkeypatch, tmp_path, capsys):
    entry = {"steps_per_second": 1.0, "clips_per_second": 2.0, "memory": None}
    wrong = {**entry, "losses": [3.0], "gradient_norm": 1.0}
    monkeypatch.setattr(gpu, "expected", lambda *_: {"losses": [2.0], "gradient_norm": 1.0})
    monkeypatch.setattr(gpu, "measure", lambda *_: wrong)
    out = tmp_path / "gpu.json"
    options = ["--networks", "paper", "--tasks", "training", "--compile", "off", "--out", str(out)]
    assert gpu.main([*SMALL, *options]) == 1
    assert json.loads(out.read_text())["losses_agree"] is False
    assert capsys.readouterr().out == ""


def test_what_fails_and_what_there_is_no_time_for_is_in_the_report(gpu, monkeypatch, capsys):
    def fail(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate\nmore")

    monkeypatch.setattr(gpu, "expected", lambda *_: {})
    monkeypatch.setattr(gpu, "measure", fail)
    options = ["--networks", "paper", "--tasks", "training", "--precisions", "float32"]
    assert gpu.main([*SMALL, *options]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [entry["failure"] for entry in report["measurements"]] == [
        "OutOfMemoryError: CUDA out of memory. Tried to allocate"
    ] * 4
    assert [entry["compile"] for entry in report["measurements"]] == [False, False, True, True]
    assert gpu.main([*SMALL, *options, "--minutes", "0"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert "measurements" not in report and len(report["left_out"]) == 5


@pytest.mark.parametrize("limit", [0, 1, 2, 3, 7, 8, 100, 1000, 2047, 2048, 5000])
def test_the_largest_batch_is_found_to_within_a_sixteenth_in_few_tries(gpu, limit):
    tries = []

    def fits(number):
        tries.append(number)
        return number <= limit

    found = gpu.largest(fits, 2048)
    reachable = min(limit, 2048)
    assert reachable - max(0, found // 16) <= found <= reachable
    assert len(tries) <= 18 and max(tries) <= 2048


def test_the_largest_batch_has_its_memory_and_the_reason_that_ended_it(gpu, monkeypatch):
    used = []

    def take_a_step(case, *_):
        if case.batch_size > 20:
            raise torch.OutOfMemoryError("CUDA out of memory.\nMore")
        used.append(case.batch_size)
        return lambda: None

    monkeypatch.setattr(gpu, "Repetition", take_a_step)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _: used[-1] * 1000)
    case = gpu.Case(network="paper", precision="bfloat16", batch_size=0)
    found = gpu.largest_batch(case, {}, torch.device("cpu"), 2048)
    assert (found["batch_size"], found["memory"]) == (20, 20_000)
    assert found["why_not_more"] == "OutOfMemoryError: CUDA out of memory."
    assert gpu.largest_batch(case, {}, torch.device("cpu"), 16)["why_not_more"] == "not tried above 16"


def test_an_unknown_network_is_refused(gpu, capsys):
    with pytest.raises(SystemExit):
        gpu.main(["--networks", "papr"])
    assert "papr: give some of c3d" in capsys.readouterr().err
