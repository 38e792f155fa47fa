"""Evaluate a network on, or start it from, a dataset with other classes or other names for them."""

import polars as pl
import pytest
import torch
from made_up import TINY, cache, clip, done, printed, refused
from networks import build

from dfer.data_manifest.published_results import TESTED
from dfer.schemas.keypoints import DLIB18
from dfer.schemas.support.errors import UserError
from dfer.train.data.class_matching import match_classes
from dfer.train.engine import checkpoint
from dfer.train.engine.weights import start_from_run
from dfer.train.results.comparison import ablation_not_comparable_reason, not_comparable_reason


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("across")


@pytest.fixture(scope="module")
def run(folder):
    """A network of the classes Happy, Sad and Angry, trained on a dataset called afew with its own split."""
    clips = [
        clip(label, seed, split="test" if seed > 5 else "train")
        for seed, label in enumerate(("Happy", "Sad", "Angry") * 3)
    ]
    own = cache(folder, "afew", clips, ["Happy", "Sad", "Angry"])
    done("run", own, "--out", folder / "run", *TINY)
    return folder / "run"


def test_classes_in_another_order_and_with_other_names_are_matched(run, folder):
    labels = ["ANG", "sadness", "joy"] * 3  # the clips of the run's own cache, each by another name
    names = {"joy": "Happy", "sadness": "Sad", "ANG": "Angry"}
    clips = [clip(label, seed) for seed, label in enumerate(labels)]
    foreign = cache(folder, "foreign", clips, ["ANG", "joy", "sadness"])
    result = printed("evaluate", run, foreign, "--clips", "all")
    own = printed("evaluate", run, folder / "afew", "--clips", "all")
    assert result["clips"] == 9 and result["renamed"] == names and result["not_covered"] == {}
    assert result["predictions"] == own["predictions"]
    right = sum(names[label] == result["predictions"][f"{n:06}"] for n, label in enumerate(labels))
    assert result["war"] == pytest.approx(right / 9)
    assert list(result["recall"]) == ["Happy", "Sad", "Angry"]
    shown = done("evaluate", run, foreign, "--clips", "all").stdout
    assert "labels renamed to the network's: ANG → Angry, joy → Happy, sadness → Sad" in shown


def test_classes_that_the_network_lacks_are_counted_separately_and_still_predicted(run, folder, tmp_path):
    labels = ["happiness", "sad", "anger", "contempt", "contempt", "calm"]
    foreign = cache(folder, "superset", [clip(label, seed) for seed, label in enumerate(labels)])
    table = tmp_path / "predictions.parquet"
    arguments = ("evaluate", run, foreign, "--clips", "all")
    result = printed(*arguments, "--predictions", table)
    assert result["not_covered"] == {"calm": 1, "contempt": 2}
    assert (result["clips"], result["usable"], len(result["predictions"])) == (3, 3, 6)
    alone = cache(folder, "subset", [clip(label, seed) for seed, label in enumerate(labels[:3])])
    covered = printed("evaluate", run, alone, "--clips", "all")
    for figure in ("war", "uar", "war_usable", "recall", "confusion", "intervals"):
        assert result[figure] == covered[figure], figure
    rows = pl.read_parquet(table)
    assert rows["label"].to_list() == ["Happy", "Sad", "Angry", "contempt", "contempt", "calm"]
    assert rows["predicted"].null_count() == 0 and set(rows["predicted"]) <= {"Happy", "Sad", "Angry"}
    shown = done(*arguments).stdout
    assert "not covered: 3 clips of classes unknown to the network" in shown
    assert [line.split("│")[1:4] for line in shown.splitlines() if "contempt" in line] == [
        [" contempt    ", "     2 ", " not covered "]
    ]


def test_a_dataset_with_fewer_classes_has_no_recall_of_the_others(run, folder):
    foreign = cache(folder, "fewer", [clip("happy", seed) for seed in range(3)])
    result = printed("evaluate", run, foreign, "--clips", "all")
    assert result["recall"]["Sad"] is None and result["recall"]["Happy"] == result["war"] == result["uar"]


def test_no_class_in_common_is_refused_in_one_line(run, folder):
    foreign = cache(folder, "other", [clip(label, seed) for seed, label in enumerate(("ja", "nein"))])
    line = refused("evaluate", run, foreign, "--clips", "all")
    assert "no class in common: the clips have ja, nein, the network Happy, Sad, Angry" in line
    with pytest.raises(UserError, match="the clips have no labels"):
        match_classes(pl.DataFrame({"label": [None]}, {"label": pl.String}), ["Happy"])


def test_training_refuses_labels_that_its_cache_does_not_list(folder):
    clips = [clip(label, seed) for seed, label in enumerate(("Happy", "happiness", "Sad"))]
    line = refused("run", cache(folder, "strict", clips, ["Happy", "Sad"]), "--out", folder / "no", *TINY)
    assert "the label happiness is not one of cache.json's; extract again" in line


def test_a_classifier_starts_from_the_rows_of_classes_with_the_same_meaning(run, folder):
    kept = checkpoint.load(run / "best.pt")
    labels = ("sadness", "contempt", "anger", "joy")
    network = build(kept.config.network, classes=4, num_frames=2, seed=9, keypoints=DLIB18)
    fresh = network.clip_head.bias[1].clone()
    loaded = start_from_run(network, labels, run / "best.pt")
    assert loaded.classes == ("sadness", "anger", "joy")
    old = kept.model["clip_head.weight"]  # Happy, Sad, Angry
    assert torch.equal(network.clip_head.weight[[0, 2, 3]], old[[1, 2, 0]])
    assert torch.equal(network.clip_head.bias[1], fresh)


@pytest.mark.parametrize(
    ("name", "clips", "third", "reason"),
    [
        ("afew", "test", "Angry", None),
        ("afew", "all", "Angry", "all clips instead of official split"),
        ("afew", "train", "Angry", "the training clips of the given cache instead of official split"),
        ("afew", "test", "contempt", "the network does not know the class of 1 clip"),
        ("ferv39k", "test", "Angry", "the network was trained on afew"),
        ("unknown", "test", "Angry", None),
    ],
)
def test_published_results_are_shown_only_for_the_same_protocol(
    run, tmp_path, monkeypatch, name, clips, third, reason
):
    monkeypatch.setitem(TESTED, "afew", 3)  # as if AFEW were that small
    rows = [
        clip(label, seed, split="test" if seed > 2 else "train")
        for seed, label in enumerate(("Happy", "Sad", third) * 2)
    ]
    source = cache(tmp_path, name, rows)
    shown = done("evaluate", run, source, "--clips", clips).stdout
    assert ("55.00" in shown) == (name == "afew" and reason is None)  # Huang et al. 2024, Table 4
    if reason:
        assert f"not comparable with the published results on {name}: " in shown and reason in shown
    else:
        assert "not comparable" not in shown


def test_a_single_fold_is_not_the_published_mean_of_five(folder):
    clips = [clip("ab"[seed % 2], seed, fold=seed // 4 + 1) for seed in range(8)]
    source = cache(folder, "dfew", clips)
    done("run", source, "--out", folder / "fold", *TINY, "--fold", 2)
    shown = done("evaluate", folder / "fold", source).stdout
    assert "68.73" not in shown and "fold 2 instead of mean of 5 folds" in shown
    done("report", folder / "fold", "--clips", 0)
    page = (folder / "fold" / "report.html").read_text()
    assert "fold 2 instead of mean of 5 folds" in page and "68.73" not in page
    of_five = {"dataset": "dfew", "trained_on": "dfew", "clips": 11_600}
    assert not_comparable_reason(**of_five, protocol="mean of 5 folds") is None
    assert "mean of 5 folds of subjects instead" in not_comparable_reason(
        **of_five, protocol="mean of 5 folds of subjects"
    )
    few = not_comparable_reason("dfew", trained_on="dfew", protocol="mean of 5 folds", clips=8)
    assert few == "8 clips instead of the 11697 test clips of the dataset"


def test_an_ablation_is_compared_only_on_the_dataset_and_protocol_of_the_published_one():
    published_on = ("AFEW", "DFEW")
    assert ablation_not_comparable_reason("dfew", "mean of 5 folds", 11_697, published_on) is None
    assert ablation_not_comparable_reason("afew", "official split", 371, published_on) is None
    assert "fold 1 instead of" in ablation_not_comparable_reason("dfew", "fold 1", 2341, published_on)
    assert "not on ferv39k" in ablation_not_comparable_reason("ferv39k", "official split", 7847, published_on)
    assert "12 clips instead" in ablation_not_comparable_reason("afew", "official split", 12, published_on)
    assert ablation_not_comparable_reason("ferv39k", "official split", 7847, ()) is None
