import csv
import hashlib
import re

import polars as pl
import pytest

from dfer.data_manifest.published_results import FILE, PAPER, ablation, by_scene, costs, published, results

# Checked digit by digit against the paper: the print itself does not add up.
PRINTED_OFF = {
    ("3", "Huang et al. 2024"): 0.14,
    ("3", "Resnet18+GRU"): 0.22,
    ("5", "Huang et al. 2024"): 0.03,
    ("5", "NR-DFERNet"): 1.8,
    ("7", "C3D"): 0.3,
    ("7", "Huang et al. 2024"): 0.03,
}
ROUNDING = 0.0101  # of two decimals, in the mean and in the recalls
SHA256 = "e210d3179983e5472308418989891fe138a855f86f97d9fb1a087211b084d987"


def remarks(**filters):
    """The single remarks of some rows, each with its row."""
    rows = published().filter(**filters).with_columns(single=pl.col("remark").str.split("; "))
    return rows.explode("single").filter(pl.col("single") != "").to_dicts()


def is_fraction(value, clips):
    """Whether a percentage with two decimals can be a share of so many clips."""
    return any(f"{100 * k / clips:.2f}" == f"{value:.2f}" for k in range(clips + 1))


def test_the_figures_are_those_that_were_checked_against_the_print():
    with FILE.open(newline="") as file:
        rows = ["|".join(row[:-1]) for row in csv.reader(file)]  # all but the remark
    assert hashlib.sha256("\n".join(rows).encode()).hexdigest() == SHA256


def test_a_uar_that_is_not_the_mean_of_the_printed_recalls_has_a_remark():
    """A wrong digit would break this."""
    table = published().filter(pl.col("metric").is_in(["recall", "uar"]))
    off, compared = {}, 0
    for (number, method), rows in table.group_by("table", "method"):
        recalls = rows.filter(metric="recall")["value"]
        uar = rows.filter(metric="uar")
        if len(recalls) and len(uar):
            compared += 1
            differ = abs(recalls.mean() - uar["value"].item())
            remark = f"the printed recalls average {recalls.mean():.2f}"
            assert uar["remark"].item().startswith(remark) == (differ > ROUNDING), (number, method)
            if differ > ROUNDING:
                off[number, method] = round(differ, 2)
    assert compared > 25 and off == PRINTED_OFF


def test_every_row_names_whom_the_print_cites_for_its_method():
    cited = published().group_by("method").agg(pl.col("cited").unique())
    without = cited.filter(pl.col("cited").list.contains(None))
    assert without["method"].to_list() == [PAPER]
    former = published().filter(method="Former-DFER")["cited"].unique().to_list()
    assert former == ["Zhao and Liu, 2021"]
    assert results("afew").filter(method="EST")["cited"].to_list() == ["Liu et al., 2023"]


def test_remarks_on_fractions_are_true():
    found = set()
    for row in remarks(metric="war"):
        if match := re.match(r"(not )?a fraction of (\d+) clips(?: \((\d+)\))?", row["single"]):
            missing, clips, correct = match[1], int(match[2]), match[3]
            assert is_fraction(row["value"], clips) == (missing is None), row
            if correct:
                assert f"{100 * int(correct) / clips:.2f}" == f"{row['value']:.2f}", row
                assert not is_fraction(row["value"], 383), row
            found.add((row["table"], clips))
    of_scenes = {("6", 164), ("6", 229), ("6", 501)}
    assert found == {("4", 380), ("4", 381), ("10", 380), ("11", 380), ("12", 380)} | of_scenes


def test_every_own_afew_figure_has_its_number_of_clips_and_its_starting_weights():
    rows = published().filter(dataset="AFEW", method=PAPER, metric="war")
    assert len(rows) == 13
    for value, remark in rows.select("value", "remark").iter_rows():
        assert "a fraction of 380 clips" in remark and "not of Table 2's 383" in remark
        same_as_table_4 = value == 55.00
        assert ("started from weights trained on DFEW (Section 4.3.2)" in remark) == same_as_table_4
        assert ("not said whether it started from DFEW's weights" in remark) != same_as_table_4


def test_every_own_figure_is_remarked_as_probably_the_best_epoch():
    rows = published().filter(pl.col("metric").is_in(["war", "uar", "recall"]))
    best = rows.with_columns(best=pl.col("remark").str.contains("probably the best epoch.*65th of 80"))
    assert (best["best"] == (best["method"] == PAPER)).all()


def test_an_inferred_protocol_has_a_remark():
    inferred = {
        (row["table"], row["method"], row["value"]) for row in remarks() if "inferred" in row["single"]
    }
    ablations = published().filter(pl.col("table").is_in(["9", "10", "11", "12", "Fig. 8"]), dataset="DFEW")
    expected = set(ablations.select("table", "method", "value").iter_rows())
    assert inferred == expected | {("8", "Dense-161", 60.4)}
    # They are supported by one figure that Table 3 prints too.
    assert published().filter(table="3", method=PAPER, metric="war")["value"].to_list() == [68.73]
    assert set(ablations.filter(value=68.73)["table"]) == {"9", "10", "11", "12", "Fig. 8"}


def test_the_sadness_recall_that_is_called_second_best_is_third():
    best = published().filter(**{"table": "3", "class": "sadness"}).sort("value", descending=True).head(3)
    assert best["method"].to_list() == ["CEFLNet", "STT", PAPER]
    assert best["remark"][2].startswith(
        "the text calls it second best, but it is third, after CEFLNet's 68.00"
    )


@pytest.mark.parametrize(
    ("row", "remark"),
    [
        (
            {"table": "3", "method": PAPER, "metric": "uar"},
            "the text has it 0.09 above NR-DFERNet's, the table",
        ),
        ({"table": "3", "method": "Resnet18+LSTM", "metric": "war"}, "printed as the UAR"),
        ({"table": "3", "method": "Former-DFER", "metric": "params"}, "Table 8 prints 13 M"),
        ({"table": "4", "method": "Former-DFER", "metric": "params"}, "Table 8 prints 13 M"),
        ({"table": "5", "method": "Former-DFER", "metric": "params"}, "Table 8 prints 13 M"),
        ({"table": "8", "method": "Former-DFER", "metric": "params"}, "Tables 3, 4 and 5 print 18 M"),
        ({"table": "6", "method": "I3D", "variant": "Art"}, "the text calls this scene ElegantArt"),
    ],
)
def test_other_contradictions_of_the_print_have_a_remark(row, remark):
    assert remark in published().filter(**row)["remark"].item()


def test_an_ablations_figures_come_with_their_remarks():
    assert {name: figure.war for name, figure in ablation("9", "B").items()} == {
        "DFEW": pytest.approx(0.6548)
    }
    deep = ablation("12", "5")
    assert (deep["DFEW"].war, deep["AFEW"].war) == (pytest.approx(0.6724), pytest.approx(0.5158))
    assert "Table 12 does not say" in deep["DFEW"].remark and "380 clips (196)" in deep["AFEW"].remark
    assert ablation("Fig. 8", "0.2")["DFEW"].war == pytest.approx(0.6873) and not ablation("Fig. 8", "0.1")


def test_a_dataset_is_found_by_its_name_in_any_case():
    (own,) = results("Dfew").filter(method=PAPER).to_dicts()
    assert (own["war"], own["uar"]) == (pytest.approx(0.6873), pytest.approx(0.5585))
    assert results("ferv39k")["method"][0] == "NR-DFERNet"
    assert results("crema-d").is_empty()


def test_a_result_has_the_remarks_on_its_war_and_uar_once_each():
    (own,) = results("afew").filter(method=PAPER)["remark"].to_list()
    singles = own.split("; ")
    assert len(singles) == len(set(singles)) == 3
    assert results("afew").filter(method="EST")["remark"].to_list() == [""]
    assert costs()["remark"].to_list() == ["", "Tables 3, 4 and 5 print 18 M for the same method", "", ""]


def test_figures_by_scene_have_the_datasets_names():
    scenes = by_scene("FERV39k")
    wars = tuple(scenes[name].war for name in ("dl11k", "action", "elegantart"))
    assert wars == (0.4988, 0.5946, 0.5574)
    assert "not a fraction of 164 clips" in scenes["action"].remark
    assert len(scenes) == 10 and not by_scene("dfew")
