import polars as pl
import pytest

from dfer.data_manifest.published import ablation, by_scene, published, results

PRINTED_OFF = {  # checked against the paper digit by digit: it is the print that does not add up
    ("3", "Huang et al. 2024"): 0.14,
    ("3", "Resnet18+GRU"): 0.22,
    ("5", "Huang et al. 2024"): 0.03,
    ("5", "NR-DFERNet"): 1.8,
    ("7", "C3D"): 0.3,
    ("7", "Huang et al. 2024"): 0.03,
}
ROUNDING = 0.0101  # of two decimals, in the mean and in the recalls


def test_the_mean_of_the_printed_recalls_is_the_printed_uar_or_it_is_remarked():
    """What a wrong digit would break."""
    table = published().filter(pl.col("metric").is_in(["recall", "uar"]))
    off, compared = {}, 0
    for (number, method), rows in table.group_by("table", "method"):
        recalls = rows.filter(metric="recall")["value"]
        uar = rows.filter(metric="uar")
        if len(recalls) and len(uar):
            compared += 1
            differ = abs(recalls.mean() - uar["value"].item())
            remark = f"the printed recalls average {recalls.mean():.2f}"
            assert (uar["remark"].item() or "").startswith(remark) == (differ > ROUNDING), (number, method)
            if differ > ROUNDING:
                off[number, method] = round(differ, 2)
    assert compared > 25 and off == PRINTED_OFF


def test_every_row_names_whom_the_print_cites_for_its_method():
    cited = published().group_by("method").agg(pl.col("cited").unique())
    without = cited.filter(pl.col("cited").list.contains(None))
    assert without["method"].to_list() == ["Huang et al. 2024"]
    former = published().filter(method="Former-DFER")["cited"].unique().to_list()
    assert former == ["Zhao and Liu, 2021"]
    assert results("afew").filter(method="EST")["cited"].to_list() == ["Liu et al., 2023"]


def test_the_papers_own_figures_are_found_by_row():
    assert ablation("9", "B") == {"DFEW": pytest.approx(0.6548)}
    assert ablation("12", "5") == {"DFEW": pytest.approx(0.6724), "AFEW": pytest.approx(0.5158)}
    assert ablation("Fig. 8", "0.2") == {"DFEW": pytest.approx(0.6873)} and ablation("Fig. 8", "0.1") == {}


def test_a_dataset_is_found_by_its_name_in_any_case():
    (own,) = results("dfew").filter(method="Huang et al. 2024").to_dicts()
    assert (own["war"], own["uar"]) == (pytest.approx(0.6873), pytest.approx(0.5585))
    assert results("ferv39k")["method"][0] == "NR-DFERNet"
    assert results("crema-d").is_empty()


def test_other_contradictions_of_the_print_are_remarked_where_they_stand():
    remarked = published().filter(pl.col("remark").str.contains("printed as|print|the text has|weights"))
    remarked = remarked.filter(
        ~pl.col("remark").str.contains("^the printed recalls average [0-9.]*$|only point")
    )
    assert sorted(remarked.select("table", "method", "metric").unique().iter_rows()) == [
        ("10", "Huang et al. 2024", "war"),  # AFEW, from DFEW's weights
        ("11", "Huang et al. 2024", "war"),
        ("12", "Huang et al. 2024", "war"),
        ("3", "Former-DFER", "params"),
        ("3", "Huang et al. 2024", "uar"),  # "0.09 % higher"
        ("3", "Resnet18+LSTM", "war"),
        ("4", "Former-DFER", "params"),
        ("4", "Huang et al. 2024", "uar"),
        ("4", "Huang et al. 2024", "war"),
        ("5", "Former-DFER", "params"),
        ("8", "Former-DFER", "params"),
    ]


def test_the_papers_figures_by_scene_have_the_datasets_names():
    scenes = by_scene("ferv39k")
    assert (scenes["dl11k"], scenes["action"], scenes["elegantart"]) == (0.4988, 0.5946, 0.5574)
    assert len(scenes) == 10 and not by_scene("dfew")
