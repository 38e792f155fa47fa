"""Stills first: 100 pictures, then clips from the weights they gave; and both in one run."""

import dataclasses
import json

import polars as pl
import pytest
from made_up import TINY, cache, clip, done
from synthetic_cache import SyntheticClip

from dfer.train.config import load_config, preset_for_clips
from dfer.train.engine import checkpoint

SMALL = ("--image-size", 32, "--stage-strides", "1,2,2,2", "--depth", 1, "--device", "cpu", "--epochs", 1)


def still(label, seed):
    """One frame, without a split."""
    made = clip(label, seed)
    return SyntheticClip(label=label, crops=made.crops[:1], keypoints=made.keypoints[:1])


@pytest.fixture(scope="module")
def stills(tmp_path_factory):
    pictures = [still(("angry", "happy", "sad")[n % 3], n) for n in range(100)]
    return cache(tmp_path_factory.mktemp("stills"), "stills", pictures)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    labels = ("Happiness", "Sadness")
    made = [clip(labels[n % 2], 200 + n, split="train" if n < 4 else "test") for n in range(6)]
    return cache(tmp_path_factory.mktemp("clips"), "clips", made)


def test_the_preset_for_stills_has_the_network_of_strong_without_its_landmarks():
    stills, strong = load_config("pretrain"), load_config("strong")
    assert stills.network == strong.network.without_landmarks() != strong.network
    assert stills.data == dataclasses.replace(strong.data, num_frames=1, color_jitter=0.4)


def test_lean_is_strong_with_smaller_maps_and_a_narrower_last_stage():
    strong = load_config("strong")
    stages = {"stage_strides": (1, 2, 2, 1), "stage_widths": (64, 128, 256, 256)}
    network = dataclasses.replace(strong.network, landmark_weight=0.0, **stages)
    assert load_config("lean") == dataclasses.replace(strong, network=network)


def test_what_starts_from_stills_is_the_preset_with_their_network():
    lean = load_config("lean").network
    stages = {"stage_strides": lean.stage_strides, "stage_widths": lean.stage_widths}
    assert preset_for_clips(load_config("pretrain")) == "strong"
    assert preset_for_clips(load_config("pretrain", stages)) == "lean"
    assert preset_for_clips(load_config("pretrain", {"model": "former-dfer"})) is None


def test_stills_then_clips(stills, clips, tmp_path):
    done("run", stills, "--preset", "pretrain", "--out", tmp_path / "pre", *SMALL)
    assert len(pl.read_csv(tmp_path / "pre" / "metrics.csv")) == 1
    start = ("--init-from", tmp_path / "pre", "--loaded-lr", 0.1)
    outcome = done("run", clips, "--out", tmp_path / "run", *TINY, "--num-frames", 16, *start)
    assert "temporal.positions: positions for clips of 1 frame, the network takes 16" in outcome.stderr
    assert "loaded weights learn at 0.1 × the learning rate" in outcome.stderr
    record = json.loads((tmp_path / "run" / "weights.json").read_text())
    assert record["missing"] == ["temporal.positions"] and record["classes"] == ["Happiness", "Sadness"]
    groups = checkpoint.load(tmp_path / "run" / "last.pt").state["optimiser"]["param_groups"]
    fresh = [len(group["params"]) for group in groups if group["factor"] == 1]
    assert fresh == [0, 1]  # the positions


def test_a_rate_for_loaded_weights_without_any_is_reported(clips, tmp_path):
    outcome = done("run", clips, "--out", tmp_path / "run", *TINY, "--loaded-lr", 0.1)
    assert "--loaded-lr has no effect: no weights are given with --init-from or --backbone" in outcome.stderr


def test_stills_and_clips_in_one_run_are_both_trained_on_and_only_clips_are_tested(stills, clips, tmp_path):
    outcome = done("run", stills, clips, "--out", tmp_path / "run", *TINY, "--batch-size", 52)
    assert "104 training clips, 3 classes" in outcome.stderr
    predictions = pl.read_parquet(tmp_path / "run" / "predictions.parquet")
    assert predictions["clip_id"].to_list() == ["clips/000004", "clips/000005"]
