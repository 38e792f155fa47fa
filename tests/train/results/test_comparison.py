"""Figures beside published ones, where a dataset is as large as theirs: on the terminal, as JSON, on a run's page."""

import pytest
from made_up import TINY, cache, clip, done, printed

from dfer.data_manifest.published import PAPER, TESTED
from dfer.train.results.comparison import obstacle

HEADS = """
title = "Heads"
base = "quick"
axis = "heads"
published = "11"
[[variant]]
name = "8"
set = { heads = 8 }
"""


@pytest.fixture(scope="module")
def five_folds(tmp_path_factory):
    """Ten clips of a dataset called dfew, in five folds."""
    clips = [clip("ab"[seed % 2], seed, fold=seed // 2 + 1) for seed in range(10)]
    return cache(tmp_path_factory.mktemp("folds"), "dfew", clips)


@pytest.fixture(scope="module")
def afew(tmp_path_factory):
    """Six clips of a dataset called afew, with its split, three of them judged."""
    clips = [clip("ab"[seed % 2], seed, split="val" if seed > 2 else "train") for seed in range(6)]
    return cache(tmp_path_factory.mktemp("afew"), "afew", clips)


def published_of(result):
    """The paper's own row."""
    return next(row for row in result["published"] if row["method"] == PAPER)


def test_a_cross_validation_of_the_whole_dataset_stands_beside_what_is_published(
    five_folds, tmp_path, monkeypatch
):
    call = ("crossval", five_folds, "--out", tmp_path / "out", "--folds", "official", *TINY)
    few = printed(*call)
    assert few["incomparable"] == "published is for all 11697 test clips, this is for 10"
    assert published_of(few)["war"] == pytest.approx(0.6873)
    assert [row["fold"] for row in few["rows"]] == ["1", "2", "3", "4", "5", "mean", "sd", "pooled"]
    assert "68.73" not in done(*call).stdout
    monkeypatch.setitem(TESTED, "dfew", 10)
    shown = done(*call).stdout
    assert "dfew, mean of 5 folds (as quoted by Huang et al. 2024), %" in shown
    for text in ("68.73", "55.85", "ours, last epoch", "pooled, best", "C3D (Tran et al., 2015)"):
        assert text in shown
    assert printed(*call)["incomparable"] is None


def test_a_run_on_the_official_split_stands_beside_what_is_published(afew, tmp_path, monkeypatch):
    monkeypatch.setitem(TESTED, "afew", 3)
    run = tmp_path / "run"
    done("run", afew, "--out", run, *TINY)
    shown = done("evaluate", run, afew).stdout
    assert "55.00" in shown and "started from weights trained on DFEW" in shown
    result = printed("evaluate", run, afew)
    assert result["incomparable"] is None and published_of(result)["uar"] == pytest.approx(0.5014)
    done("report", run, "--clips", 0)
    page = (run / "report.html").read_text()
    assert "Published for afew, official split" in page and "55.00 %" in page and "this run, last" in page


def test_a_sweep_on_the_whole_dataset_stands_beside_what_is_published(afew, tmp_path, monkeypatch):
    (tmp_path / "heads.toml").write_text(HEADS)
    call = ("sweep", tmp_path / "heads.toml", afew, "--out", tmp_path / "out", *TINY[2:])
    assert printed(*call)["incomparable"] == "published is for all 383 val clips, this is for 3"
    monkeypatch.setitem(TESTED, "afew", 3)
    result = printed(*call)
    assert result["incomparable"] is None and result["rows"][0]["published_war_AFEW"] == pytest.approx(0.55)
    shown = done(*call).stdout
    assert "55.00" in shown and "not comparable" not in shown


@pytest.mark.parametrize(("clips", "known"), [(653, False), (383, True), (371, True), (300, False)])
def test_neither_too_few_nor_too_many_clips_are_those_of_the_published_part(clips, known):
    """The 653 clips of AFEW's test part, which somebody may have the labels of, are not its validation part."""
    reason = obstacle("afew", trained_on="afew", protocol="official split", clips=clips)
    assert reason == (None if known else f"published is for all 383 val clips, this is for {clips}")
