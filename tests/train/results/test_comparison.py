"""Published results next to ours, with their remarks: on the terminal, as JSON, and in a run's report."""

import html
import re

import pytest
from made_up import TINY, cache, clip, done, printed

from dfer.data_manifest.published_results import PAPER, TESTED, Figure
from dfer.train.data.splits import SplitChoice
from dfer.train.report import terminal
from dfer.train.results.comparison import footnotes, not_comparable_reason
from dfer.train.several.crossval import as_dict, summarise

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
def afew(tmp_path_factory):
    """Six clips of a dataset called afew, with its split; three are tested."""
    clips = [clip("ab"[seed % 2], seed, split="val" if seed > 2 else "train") for seed in range(6)]
    return cache(tmp_path_factory.mktemp("afew"), "afew", clips)


def published_row(result):
    """The paper's own row."""
    return next(row for row in result["published"] if row["method"] == PAPER)


def test_a_cross_validation_of_all_clips_is_compared_with_published_results(tmp_path, monkeypatch, capsys):
    clips = [clip("ab"[seed % 2], seed, fold=seed // 2 + 1) for seed in range(10)]
    source, out = cache(tmp_path, "dfew", clips), tmp_path / "out"
    few = printed("crossval", source, "--out", out, "--folds", "official", *TINY)
    assert few["incomparable"] == "10 clips instead of the 11697 test clips of the dataset"
    assert published_row(few)["war"] == pytest.approx(0.6873)
    assert [row["fold"] for row in few["rows"]] == ["1", "2", "3", "4", "5", "mean", "sd", "pooled"]

    monkeypatch.setenv("COLUMNS", "200")
    result = summarise(out, [SplitChoice(fold=number) for number in range(1, 6)])
    terminal.print_crossval(result, out)
    shown = capsys.readouterr().out
    assert "68.73" not in shown and few["incomparable"] in shown
    monkeypatch.setitem(TESTED, "dfew", 10)
    terminal.print_crossval(result, out)
    shown = capsys.readouterr().out
    assert "published: dfew, mean of 5 folds (from Huang et al. 2024), %" in shown
    for text in ("68.73", "55.85", "ours, last epoch", "pooled, best epoch", "C3D (Tran et al., 2015)"):
        assert text in shown
    assert as_dict(result)["incomparable"] is None


def test_a_run_on_the_official_split_is_compared_with_published_results(afew, tmp_path, monkeypatch):
    monkeypatch.setitem(TESTED, "afew", 3)
    run = tmp_path / "run"
    done("run", afew, "--out", run, *TINY)
    result = printed("evaluate", run, afew)
    assert result["incomparable"] is None and published_row(result)["uar"] == pytest.approx(0.5014)
    remark = "started from weights trained on DFEW"
    assert remark in published_row(result)["remark"]
    shown = done("evaluate", run, afew).stdout
    assert "55.00" in shown
    check_footnote(shown, remark, next(line for line in shown.splitlines() if "55.00" in line).split("│")[4])
    done("report", run, "--clips", 0)
    page = html.unescape((run / "report.html").read_text())
    assert "Published results on afew, official split" in page and "this run, last epoch" in page
    marks = r"<td[^>]*>55\.00 %</td><td[^>]*>50\.14 %</td><td[^>]*>(.*?)</td>"
    mark = re.search(marks, page)[1]
    check_footnote(page.replace("<small>", "\n").replace("<br>", "\n"), remark, mark)


def check_footnote(text, remark, marks):
    """The row's marks contain the number of the note with the remark."""
    (note,) = [line for line in text.splitlines() if remark in line]
    assert note.split(":")[0] in marks.strip().split(", "), (note, marks)


def test_a_sweep_on_all_clips_is_compared_with_published_results(afew, tmp_path, monkeypatch):
    (tmp_path / "heads.toml").write_text(HEADS)
    call = ("sweep", tmp_path / "heads.toml", afew, "--out", tmp_path / "out", *TINY[2:])
    assert printed(*call)["incomparable"] == "3 clips instead of the 383 val clips of the dataset"
    monkeypatch.setitem(TESTED, "afew", 3)
    result = printed(*call)
    assert result["incomparable"] is None
    _, row = result["rows"]
    assert row["published_war_AFEW"] == pytest.approx(0.55) and "380 clips" in row["published_remark_AFEW"]
    shown = done(*call).stdout
    assert "55.00" in shown and "not comparable" not in shown
    assert "Huang et al. 2024, Table 11, next to the variant of the same name" in shown
    marks = next(line for line in shown.splitlines() if "55.00" in line).split("│")[-2]
    check_footnote(shown, "AFEW: a fraction of 380 clips", marks)
    check_footnote(shown, "DFEW: mean of 5 folds is inferred", marks)
    check_footnote(shown, ": probably the best epoch", marks)  # of both datasets, so without a name


def test_published_results_of_scenes_are_shown_with_their_remarks(monkeypatch, capsys):
    import polars as pl
    from rich.console import Console

    monkeypatch.setenv("COLUMNS", "120")
    groups = pl.DataFrame({"scene": ["Art", None], "clips": 2, "usable": 2, "war": 0.5, "uar": 0.5})
    terminal._print_groups(Console(), "scene", groups, {"art": Figure(war=0.5574, remark="one; two")})
    shown = capsys.readouterr().out
    (row,) = [line for line in shown.splitlines() if "Art" in line]
    assert "55.74 %" in row and row.split("│")[-2].strip() == "1, 2"
    assert shown.splitlines()[-2:] == ["1: one", "2: two"]


def test_equal_remarks_share_a_footnote():
    assert footnotes([["x", "y"], [], ["y"]]) == (["1, 2", "", "2"], ["1: x", "2: y"])


@pytest.mark.parametrize(("clips", "comparable"), [(653, False), (383, True), (371, True), (300, False)])
def test_too_few_or_too_many_clips_are_not_comparable(clips, comparable):
    """AFEW's 653 test clips, if somebody has their labels, are not the 383 of its validation part."""
    reason = not_comparable_reason("afew", trained_on="afew", protocol="official split", clips=clips)
    assert reason == (None if comparable else f"{clips} clips instead of the 383 val clips of the dataset")
