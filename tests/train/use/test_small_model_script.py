"""The script that trains the small model, from a made-up cache of stills to a file that loads."""

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from synthetic_cache import SyntheticClip, write_cache

from dfer.train.data.caches import open_pool
from dfer.train.use.small_model import read_model

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "small_model.py"


def face(number: int, label: str, frames: int = 1, **about: object) -> SyntheticClip:
    """A face at random; half of its scores show the label."""
    random = np.random.default_rng(number)
    scores = random.uniform(0.1, 0.3, (frames, 52))
    scores[:, slice(0, 26) if label == "happiness" else slice(26, 52)] += 0.6
    return SyntheticClip(
        label=label,
        crops=random.integers(0, 256, (frames, 24, 24, 3), np.uint8),
        keypoints=np.full((frames, 18, 2), 12.0),
        landmarks=random.uniform(2, 22, (68, 2)) + random.normal(0, 0.1, (frames, 68, 2)),
        scores=scores,
        **about,
    )


def still(number: int, split: str) -> SyntheticClip:
    """A still that ten people voted on, of whom two see the other expression."""
    label = ("happiness", "sadness")[number % 2]
    return face(number, label, split=split, votes=[8, 2] if label == "happiness" else [2, 8])


def stills() -> list[SyntheticClip]:
    parts = ["train"] * 60 + ["val"] * 10 + ["test"] * 20
    found = [still(n, part) for n, part in enumerate(parts)]
    twin = still(70, "train")  # the first picture of the part test
    return [*found, twin, SyntheticClip(label="sadness", split="test", votes=[2, 8])]


@pytest.fixture(scope="module")
def caches(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small_model")
    write_cache(folder / "stills", stills(), dataset="made-up")
    clips = [face(100 + n, ("happiness", "sadness")[n % 2], frames=3) for n in range(6)]
    write_cache(folder / "clips", [*clips, face(200, "boredom")], dataset="others")
    return folder


def run(caches, out):
    command = [
        sys.executable,
        SCRIPT,
        caches / "stills",
        "--clips",
        caches / "clips",
        "--out",
        out,
        "--epochs",
        60,
    ]
    outcome = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr
    return outcome.stdout


@pytest.fixture(scope="module")
def written(caches):
    """The file that the script writes, and what it prints."""
    out = caches / "model.safetensors"
    return out, run(caches, out)


def test_it_writes_a_file_that_loads_and_says_how_good_it_is(caches, written):
    out, printed = written
    model = read_model(out)
    assert model.labels == ("happiness", "sadness") and model.hidden_bias.shape == (128,)
    assert model.about["trained_on"]["stills"] == 60
    assert model.about["trained_on"]["left_out_because_in_another_part_too"] == 1
    of_test, of_clips = model.about["figures"]
    assert (of_test["count"], of_test["unusable"]) == (21, 1)
    assert of_test["war"] >= 19 / 21 and of_clips["war"] == 1
    assert of_clips["clips"] == "others" and of_clips["count"] == 6  # boredom is in no figure
    assert "made-up, part test: 21 (1 without a face), choosing from 2 labels: WAR " in printed
    pool = open_pool(caches / "clips")
    found = model.probabilities(pool, pool.clips[:6], lambda done: None)
    # It learned the votes: four of five see the label.
    np.testing.assert_allclose(found.max(1), 0.8, atol=0.1)


def test_the_same_caches_give_the_same_file(caches, written):
    again = caches / "again.safetensors"
    run(caches, again)
    assert again.read_bytes() == written[0].read_bytes()


def test_settings_are_chosen_without_the_test_part(caches, monkeypatch, capsys):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    script = importlib.import_module("small_model")
    pool = open_pool(caches / "stills", faces=False)
    spoilt = pool.clips.with_columns(label=pl.when(split="test").then(pl.lit("sadness")).otherwise("label"))
    printed = []
    for table in (pool.clips, spoilt):
        own = script.dataclasses.replace(pool, clips=table)
        trained, _ = script.training_part(own.clips)
        script.choose(own, script.read_stills(own, trained), script.Settings(epochs=1))
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    assert printed[0].startswith("10 stills of the part val;")
    assert len(printed[0].splitlines()) == 1 + len(script.CHANGES)
