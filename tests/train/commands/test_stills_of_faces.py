"""The walk of the README: pre-train on 100 stills of real faces, then train on the six sample clips."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from open_clip import open_clip
from PIL import Image

SMALL = ("--image-size", 32, "--stage-strides", "1,2,2,2", "--epochs", 1)
EMOTIONS = {"ANG": "anger", "DIS": "disgust", "FEA": "fear", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}


@pytest.fixture(scope="module")
def stills(sample_clips, tmp_path_factory) -> Path:
    """100 pictures of faces, 48 px and grey as those of FER2013: frames of the sample clips in a folder per label."""
    root = tmp_path_factory.mktemp("stills") / "faces"
    clips = sorted(sample_clips.rglob("*.flv"))
    count = 0
    for number, path in enumerate(clips):
        clip = open_clip(path)
        wanted = 17 if number < 4 else 16
        positions = np.linspace(0, clip.facts.frames - 1, wanted).astype(int).tolist()
        folder = root / EMOTIONS[path.stem.split("_")[2]]
        folder.mkdir(parents=True)
        for position, frame in zip(positions, clip.read(positions), strict=True):
            face = Image.fromarray(frame).crop((120, 40, 360, 280)).convert("L").resize((48, 48))
            face.save(folder / f"{position:03d}.png")
            count += 1
    assert count == 100
    return root


@pytest.fixture(scope="module")
def stills_cache(cli, stills, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("stills") / "cache"
    outcome = cli("pipeline", "extract", stills, "--out", folder)
    assert outcome.returncode == 0, outcome.stderr
    return folder


@pytest.fixture(scope="module")
def pretrained(here, stills_cache, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("pretrained") / "run"
    outcome = here(
        *("train", "run", stills_cache, "--out", run, "--preset", "pretrain", *SMALL, "--holdout", 0.2),
    )
    assert outcome.returncode == 0, outcome.stderr
    start = (
        f"on clips: train run CLIPS --preset PRESET --init-from {run} --out RUN; PRESET: one with the same"
    )
    assert start in outcome.stdout
    return run


def test_stills_of_48_pixels_are_a_cache_of_clips_with_one_frame(stills_cache):
    clips = pl.read_parquet(stills_cache / "clips.parquet")
    assert len(clips) == 100 and (clips["status"] == "ok").mean() >= 0.95
    assert set(clips.filter(status="ok")["frames"]) == {1}
    assert set(clips["label"]) == set(EMOTIONS.values())


def test_clips_start_from_stills(here, pretrained, sample_cache, tmp_path):
    run = tmp_path / "run"
    fine_tuned = ("train", "run", sample_cache, "--out", run, "--preset", "strong", *SMALL, "--num-frames", 4)
    outcome = here(*fine_tuned, "--init-from", pretrained, "--loaded-lr", 0.1)
    assert outcome.returncode == 0, outcome.stderr
    loaded = json.loads((run / "weights.json").read_text())
    assert loaded["skipped"] == {"temporal.positions": "positions for clips of 1 frame, the network takes 4"}
    assert "positions for clips of 1 frame, the network takes 4" in outcome.stderr
    assert sorted(loaded["classes"]) == sorted(json.loads((run / "run.json").read_text())["labels"])
    assert {name.split(".")[0] for name in loaded["missing"]} == {"geometry", "temporal"}
    outcome = here("train", "evaluate", run, sample_cache)
    assert outcome.returncode == 0 and "WAR" in outcome.stdout


def test_with_a_learning_rate_of_zero_for_them_loaded_weights_stay_and_others_learn(
    here, pretrained, sample_cache, tmp_path
):
    run = tmp_path / "run"
    outcome = here(
        *("train", "run", sample_cache, "--out", run, "--preset", "strong", *SMALL, "--num-frames", 4),
        *("--init-from", pretrained, "--loaded-lr", 0, "--weight-decay", 0),
    )
    assert outcome.returncode == 0, outcome.stderr
    before, after = (
        torch.load(folder / "best.pt", weights_only=True)["model"] for folder in (pretrained, run)
    )
    assert torch.equal(before["backbone.layer3.0.conv1.weight"], after["backbone.layer3.0.conv1.weight"])
    assert after["geometry.head.weight"].abs().sum() > 0
