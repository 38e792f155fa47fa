"""`train run`: what it learns, what it writes, and what it prints."""

import csv
import dataclasses
import json
import subprocess
import sys

import made_up
import polars as pl
import pytest
import torch
from linked_copy import linked_copy

from dfer.schemas.support.errors import UserError
from dfer.train.engine import checkpoint

LABELS = ["anger", "disgust", "fear", "happiness", "neutral", "sadness"]


def test_six_clips_are_overfitted_and_the_saved_network_predicts_their_labels(here, overfitted, sample_cache):
    out, _ = overfitted
    rows = list(csv.DictReader((out / "metrics.csv").open()))
    assert [int(row["epoch"]) for row in rows] == list(range(20))
    assert float(rows[-1]["test_war"]) == float(rows[-1]["test_uar"]) == 1
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"]) / 2
    outcome = here("train", "evaluate", out, sample_cache, "--json")
    assert outcome.returncode == 0, outcome.stderr
    result = json.loads(outcome.stdout)
    assert result["war"] == result["uar"] == 1 and result["clips"] == 6
    assert result["predictions"] == {f"1001_DFA_{label[:3].upper()}_XX": label for label in LABELS}


def test_testing_on_the_training_clips_is_reported(overfitted):
    _, outcome = overfitted
    assert "network tested on its own training clips" in outcome.stdout
    assert "testing on the training clips themselves" in outcome.stderr
    assert "the training clips themselves" not in outcome.stdout  # once is enough
    assert "20/20" in outcome.stderr and "100.00 %" in outcome.stdout


def test_a_run_writes_all_its_files(small_run, sample_cache):
    names = {
        "settings.toml",
        "run.json",
        "baseline.parquet",
        "metrics.csv",
        "metrics.jsonl",
        "last.pt",
        "best.pt",
        "confusion.png",
        "predictions.parquet",
        "predictions_best.parquet",
    }
    assert {path.name for path in small_run.iterdir()} == names
    assert (small_run / "confusion.png").read_bytes().startswith(b"\x89PNG")
    origin = json.loads((small_run / "run.json").read_text())
    info = json.loads((sample_cache / "cache.json").read_text())
    assert origin["labels"] == LABELS and origin["cache_settings_hash"] == info["settings_hash"]
    predictions = pl.read_parquet(small_run / "predictions.parquet")
    about = ["clip_id", "scene_group", "scene", "subject", "label", "usable", "predicted"]
    assert predictions.columns == [*about, *(f"p_{x}" for x in LABELS)]
    shares = predictions.select(f"p_{x}" for x in LABELS).sum_horizontal()
    assert (shares - 1).abs().max() < 1e-5
    lines = [json.loads(line) for line in (small_run / "metrics.jsonl").read_text().splitlines()]
    rows = list(csv.DictReader((small_run / "metrics.csv").open()))
    assert [list(line) for line in lines] == [list(row) for row in rows] and len(rows) == 2
    assert lines[1]["test_war"] == pytest.approx(float(rows[1]["test_war"]), rel=1e-5)


def test_flags_reach_the_settings_that_the_run_stores(small_run):
    saved = checkpoint.load(small_run / "last.pt")
    assert (saved.config.data.image_size, saved.config.data.num_frames) == (32, 4)
    assert saved.config.network.stage_strides == (1, 2, 2, 2)
    assert saved.config.to_toml() == (small_run / "settings.toml").read_text()


def test_the_seed_decides_the_weights(here, small, small_run, sample_cache, tmp_path):
    weights = [checkpoint.load(small_run / "last.pt").model]
    for seed, epochs in ((0, 2), (1, 1)):
        out = tmp_path / str(seed)
        here("train", "run", sample_cache, "--out", out, *small, "--epochs", epochs, "--seed", seed)
        weights.append(checkpoint.load(out / "last.pt").model)
    first, same, other = weights
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["clip_head.weight"], other["clip_head.weight"])


def test_a_finished_run_is_not_changed(here, small, small_run, sample_cache):
    before = {path: path.stat().st_mtime_ns for path in small_run.iterdir()}
    outcome = here("train", "run", sample_cache, "--out", small_run, *small, "--epochs", 2)
    assert outcome.returncode == 0
    assert outcome.stdout == f"nothing to do: run {small_run} is complete (2 epochs)\n"
    assert {path: path.stat().st_mtime_ns for path in small_run.iterdir()} == before


def test_train_works_without_the_pipelines_libraries(small, small_run, sample_cache, tmp_path):
    blocked = ["mediapipe", "dlib", "decord", "cv2", "dfer.pipeline"]
    calls = [
        ["describe"],
        ["run", sample_cache, "--out", tmp_path / "run", *small, "--epochs", 1],
        ["evaluate", small_run, sample_cache],
    ]
    program = f"""
import sys
sys.modules.update(dict.fromkeys({blocked!r}))
from dfer.train.cli import main
for call in {[[str(argument) for argument in call] for call in calls]!r}:
    main(call, prog_name="train", standalone_mode=False)
"""
    outcome = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stderr
    assert "parameters" in outcome.stdout and "best.pt" in outcome.stdout and "recall" in outcome.stdout


def test_a_nan_loss_stops_the_epoch_and_names_the_clips(sample_cache):
    overrides = {"image_size": 32, "num_frames": 2, "stage_strides": (1, 2, 2, 2)}
    training = made_up.training(sample_cache, "quick", overrides)
    training.learner.network.clip_head.bias.data.fill_(float("nan"))
    with pytest.raises(
        UserError, match=r"the loss is nan in epoch 1, clips 1001_DFA_..._XX, 1001_DFA_..._XX; try"
    ):
        list(training.steps())


def test_tensorboard_has_every_epoch_once_even_after_a_resume(here, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    cache = made_up.cache(tmp_path, "c", [made_up.clip("ab"[n % 2], n) for n in range(4)])
    out = tmp_path / "run"
    call = ("train", "run", cache, "--out", out, *made_up.TINY, "--epochs", 2, "--tensorboard")
    assert here(*call).returncode == 0
    saved = checkpoint.load(out / "last.pt")
    # As if killed in the second epoch, after its event was written.
    early = dataclasses.replace(checkpoint.load(out / "best.pt"), epoch=0, state=saved.state, rows=())
    checkpoint.save(out / "last.pt", early)
    assert here(*call, "--resume").returncode == 0
    events = EventAccumulator(str(out / "tensorboard"))
    events.Reload()
    assert {"train/loss", "test/war", "learning/rate"} <= set(events.Tags()["scalars"])
    assert [event.step for event in events.Scalars("test/war")] == [0, 1]


def test_a_run_without_its_predictions_is_completed_and_not_trained_again(
    here, small, small_run, sample_cache, tmp_path
):
    run = linked_copy(small_run, tmp_path / "run")
    (run / "predictions_best.parquet").unlink()
    outcome = here("train", "run", sample_cache, "--out", run, *small, "--epochs", 2)
    assert outcome.returncode == 0, outcome.stderr
    assert "resuming after epoch 2" in outcome.stderr and "epoch 2/2" not in outcome.stderr
    tables = [pl.read_parquet(folder / "predictions_best.parquet") for folder in (run, small_run)]
    assert tables[0].equals(tables[1])
