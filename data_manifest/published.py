"""Published results as data: published.csv, one printed figure a row, with where it is printed.

Columns: table (of the paper: "3" … "12", "Fig. 8"), dataset, protocol, method, variant (row of an ablation, scene of
Table 6), metric (war, uar, recall, params, inference speed, training time), class (of a recall), value, unit, source
(where it is printed), cited (whose method it is, as cited there; null for the paper's own), remark (where the print
contradicts itself, or figures are not of the same work). All from Huang et al. 2024 (10.1016/j.engappai.2024.108535),
which quotes other authors' figures in Tables 3 to 8.
"""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

FILE = Path(__file__).with_name("published.csv")
PAPER = "Huang et al. 2024"
# How many clips are tested, in all folds together: what the datasets' owners print of them.
TESTED = {"dfew": 11_697, "ferv39k": 7847, "afew": 383, "mafw": 9172}
# The part that is judged where that is not the test part: AFEW's has never been given out.
JUDGED = {"afew": "val"}


def published() -> pl.DataFrame:
    """All figures, as printed: percentages in 0–100."""
    return pl.read_csv(FILE, schema_overrides={"table": pl.String, "variant": pl.String, "value": pl.Float64})


def ablation(table: str, variant: str) -> Mapping[str, float]:
    """The paper's own WAR (0–1) for a row of one of its ablation tables, by dataset; empty where none is printed."""
    rows = published().filter(table=table, variant=variant, method=PAPER, metric="war")
    return {dataset: value / 100 for dataset, value in rows.select("dataset", "value").iter_rows()}


def results(dataset: str) -> pl.DataFrame:
    """What is published for a dataset as a whole (Tables 3, 4, 5, 7): method, cited, protocol, war, uar in 0–1,
    remark.

    dataset: its name in any case and with any dashes, as a cache has it. Best WAR first; empty for an unknown one.
    """
    plain = pl.col("dataset").str.to_lowercase()
    rows = published().filter(
        pl.col("table").is_in(["3", "4", "5", "7"]),
        pl.col("metric").is_in(["war", "uar"]),
        plain == dataset.lower().replace("-", ""),
    )
    keys = ["method", "cited", "protocol"]
    wide = (
        rows.with_columns(pl.col("value") / 100)
        .group_by(keys, maintain_order=True)
        .agg(
            *(pl.col("value").filter(metric=name).first().alias(name) for name in ("war", "uar")),
            pl.col("remark").drop_nulls().first(),
        )
    )
    return wide.sort("war", descending=True, maintain_order=True)


def by_scene(dataset: str) -> Mapping[str, float]:
    """The paper's own WAR (0–1) on a dataset's scenes and scene groups (Table 6), by their names in lower case."""
    rows = published().filter(pl.col("dataset").str.to_lowercase() == dataset.lower().replace("-", ""))
    rows = rows.filter(table="6", method=PAPER, metric="war").filter(pl.col("variant") != "all")
    found = {name.lower(): value / 100 for name, value in rows.select("variant", "value").iter_rows()}
    # The dataset's folder for what the table calls Art.
    return {**found, **({"elegantart": found["art"]} if "art" in found else {})}


def costs() -> pl.DataFrame:
    """Table 8: method, params (millions), samples_per_second (inference), hours (80 epochs, DFEW fold 1), remark."""
    names = {"params": "params", "inference speed": "samples_per_second", "training time": "hours"}
    figures = (pl.col("value").filter(metric=metric).first().alias(name) for metric, name in names.items())
    remark = pl.col("remark").drop_nulls().first()
    return published().filter(table="8").group_by("method", maintain_order=True).agg(*figures, remark)
