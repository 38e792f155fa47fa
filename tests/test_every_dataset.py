"""Every dataset, as its owners ship it, is extracted, trained on for an epoch and judged."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pytest
import still_trees
import trees

from dfer.data_manifest.published_results import TESTED

SEVEN = {"anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"}
TWO_FRAMES = ("--frames", 2, "--size", 48, "--workers", 2)
TINY = (
    *("--preset", "quick", "--image-size", 32, "--num-frames", 2, "--stage-strides", "1,2,2,2"),
    *("--epochs", 1, "--batch-size", 8, "--device", "cpu"),
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One dataset.

    build: makes the tree
    pictures: whether it is made of pictures of faces instead of clips
    options: of `build`
    source: what is extracted, relative to the tree's root
    labels: expected in the cache
    clips, judged: how many the cache and the judged part have
    how: flags for the split
    extract: further flags of the extraction
    train: further flags of the training
    shown: what `train evaluate` must print
    """

    build: Callable
    pictures: bool = False
    labels: set[str]
    clips: int
    judged: int
    how: tuple = ()
    source: str = ""
    options: Mapping = field(default_factory=dict)
    shown: tuple[str, ...] = ()
    extract: tuple = ()
    train: tuple = ()


CASES = {
    "dfew": Case(
        build=trees.build_dfew,
        labels={"happiness", "sadness", "neutral"},
        clips=14,
        judged=3,
        how=("--fold", 1),
        extract=("--input", "face"),
    ),
    "dfew originals": Case(
        build=trees.build_dfew,
        options={"originals": True},
        labels={"happiness", "sadness", "neutral"},
        clips=14,
        judged=2,
        how=("--fold", 5),
    ),
    "ferv39k": Case(
        build=trees.build_ferv39k,
        labels=SEVEN,
        clips=21,
        judged=7,
        shown=(
            "scene group",
            "published WAR (Huang et al. 2024)",
            "59.46 %",
            "49.88 %",
        ),  # Table 6: Action, DL11k
        extract=("--input", "face"),
    ),
    "mafw": Case(
        build=trees.build_mafw,
        options={"clips": 15},
        labels={*SEVEN, "contempt", "anxiety", "helplessness", "disappointment"},
        clips=15,
        judged=3,
        how=("--fold", 2),
    ),
    "mafw frames": Case(
        build=trees.build_mafw,
        options={"clips": 6, "frames": True, "folds": 2},
        labels={"anger", "disgust", "fear", "happiness", "neutral", "sadness", "anger_disgust"},
        clips=8,
        judged=4,
        how=("--fold", 1),
        extract=("--compound",),
    ),
    "afew": Case(build=trees.build_afew, options={"aligned": True}, labels=SEVEN, clips=14, judged=7),
    "crema-d": Case(
        build=trees.build_crema_d, labels=SEVEN - {"surprise"}, clips=12, judged=6, how=("--holdout", 0.5)
    ),
    "ravdess": Case(
        build=trees.build_ravdess, labels={*SEVEN, "calm"}, clips=18, judged=9, how=("--holdout", 0.5)
    ),
    "lists": Case(
        build=trees.build_lists,
        options={"clips": 8, "folds": 2, "start": "/home/somebody/data/", "prefix": "DFEW_"},
        labels={"happiness", "sadness", "neutral", "anger"},
        clips=8,
        judged=4,
        how=("--fold", 1),
    ),
    "folders": Case(build=trees.build_folders, labels={"happy", "sad"}, clips=12, judged=6),
    "stills": Case(
        build=still_trees.build_stills, pictures=True, labels={"happy", "sad"}, clips=12, judged=6
    ),
    "fer2013": Case(build=still_trees.build_fer2013, pictures=True, labels=SEVEN, clips=21, judged=3),
    "ferplus": Case(
        build=still_trees.build_ferplus,
        pictures=True,
        labels={*SEVEN, "contempt"},
        clips=19,
        judged=2,
        train=("--soft-labels",),
    ),
    "ferplus parts": Case(
        build=still_trees.build_ferplus,
        options={"how": "parts"},
        pictures=True,
        labels={*SEVEN, "contempt"},
        clips=19,
        judged=2,
    ),
    "raf-db": Case(build=still_trees.build_raf_db, pictures=True, labels=SEVEN, clips=21, judged=7),
    "affectnet": Case(
        build=still_trees.build_affectnet, pictures=True, labels={*SEVEN, "contempt"}, clips=33, judged=8
    ),
    "affectnet annotations": Case(
        build=still_trees.build_affectnet,
        options={"how": "annotations", "train": 16, "val": 8},
        pictures=True,
        labels={*SEVEN, "contempt"},
        clips=24,
        judged=8,
    ),
    "table": Case(build=trees.build_table, labels={"happy", "sad"}, clips=6, judged=2, source="clips.csv"),
}


def crops_of(astronaut: np.ndarray) -> list[np.ndarray]:
    """Five pictures of the face, 160 px, moved a little."""
    return [astronaut[20 + 4 * k : 180 + 4 * k, 140 + 6 * k : 300 + 6 * k] for k in range(5)]


@pytest.mark.parametrize("name", CASES)
def test_a_dataset_is_extracted_trained_on_and_judged(
    cli, here, sample_clips, astronaut, tmp_path, monkeypatch, name
):
    def train(*arguments: object) -> str:
        outcome = here("train", *arguments)
        assert outcome.returncode == 0, outcome.stderr
        return outcome.stdout

    case = CASES[name]
    if name in TESTED:  # as if the dataset were complete, so that published figures are shown
        monkeypatch.setitem(TESTED, name, case.judged)
    root, cache, run = tmp_path / "as shipped (1)", tmp_path / "cache", tmp_path / "run"
    root.mkdir()
    faces = crops_of(astronaut) if case.pictures else sorted(sample_clips.glob("*.flv"))
    case.build(root, faces, **case.options)
    outcome = cli(
        *("pipeline", "extract", root / case.source, "--out", cache, *TWO_FRAMES, *case.extract),
        *("--strict", "--json"),
    )
    assert outcome.returncode == 0, outcome.stderr
    assert json.loads(outcome.stdout)["ok"] == case.clips
    train("run", cache, "--out", run, *TINY, *case.how, *case.train)
    result = json.loads(train("evaluate", run, cache, "--device", "cpu", "--json"))
    assert set(result["recall"]) == case.labels
    assert result["clips"] == result["usable"] == case.judged
    assert len(result["predictions"]) == case.judged
    if case.shown:
        printed = train("evaluate", run, cache, "--device", "cpu")
        assert all(text in printed for text in case.shown), printed
