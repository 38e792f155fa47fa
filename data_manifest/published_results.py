"""Published results as data: published_results.csv, one printed figure per row, with where it is printed.

Columns: table ("3" … "12", "Fig. 8"), dataset, protocol, method, variant (row of an ablation; scene of Table 6),
metric (war, uar, recall, params, inference speed, training time), class (of a recall), value, unit, source (where it
is printed), cited (whose method it is, as cited there; null for the paper's own), remark (where the print contradicts
itself, what was inferred, why figures may not be comparable; several are joined by "; ").

All from Huang et al. 2024 (10.1016/j.engappai.2024.108535), which quotes other authors' figures in Tables 3 to 8.
"""

from pathlib import Path
from typing import NamedTuple

import polars as pl

FILE = Path(__file__).with_name("published_results.csv")
PAPER = "Huang et al. 2024"
# Number of tested clips, over all folds, as the datasets' owners print it. Published AFEW figures are fractions of
# 380, 381 or 383 clips: see their remarks.
TESTED = {"dfew": 11_697, "ferv39k": 7847, "afew": 383, "mafw": 9172}
# The part that is judged if it is not the test part: AFEW's was never published.
JUDGED = {"afew": "val"}


class Figure(NamedTuple):
    """A published WAR, 0–1, and what to know about it ("" if nothing)."""

    war: float
    remark: str


def published() -> pl.DataFrame:
    """All figures, as printed: percentages in 0–100. A row without a remark has ""."""
    kinds = {"table": pl.String, "variant": pl.String, "value": pl.Float64}
    table = pl.read_csv(FILE, schema_overrides=kinds, glob=False)
    return table.with_columns(pl.col("remark").fill_null(""))


def ablation(table: str, variant: str) -> dict[str, Figure]:
    """The paper's own figures for a row of an ablation table, by dataset; empty if none are printed."""
    rows = published().filter(table=table, variant=variant, method=PAPER, metric="war")
    return _figures(rows, "dataset")


def by_scene(dataset: str) -> dict[str, Figure]:
    """The paper's own figures on a dataset's scenes and scene groups (Table 6), by lower-case name."""
    rows = _of_dataset(dataset).filter(pl.col("variant") != "all", table="6", method=PAPER, metric="war")
    found = {name.lower(): figure for name, figure in _figures(rows, "variant").items()}
    # The dataset's folder for what the table calls Art.
    return {**found, **({"elegantart": found["art"]} if "art" in found else {})}


def results(dataset: str) -> pl.DataFrame:
    """Published results on a dataset (Tables 3, 4, 5, 7), best WAR first; empty for an unknown dataset.

    dataset: its name as in a cache, in any case and with any dashes

    Returns method, cited, protocol, war and uar (0–1), remark ("" if there is none).
    """
    rows = _of_dataset(dataset).filter(
        pl.col("table").is_in(["3", "4", "5", "7"]), pl.col("metric").is_in(["war", "uar"])
    )
    rows = rows.with_columns(pl.col("value") / 100)
    wide = _one_row_each(rows, ["method", "cited", "protocol"], {"war": "war", "uar": "uar"})
    return wide.sort("war", descending=True, maintain_order=True)


def costs() -> pl.DataFrame:
    """Table 8: method, params (millions), samples_per_second (inference), hours (80 epochs, DFEW fold 1), remark."""
    names = {"params": "params", "inference speed": "samples_per_second", "training time": "hours"}
    return _one_row_each(
        published().filter(pl.col("metric").is_in(list(names)), table="8"), ["method"], names
    )


def _of_dataset(dataset: str) -> pl.DataFrame:
    return published().filter(pl.col("dataset").str.to_lowercase() == dataset.lower().replace("-", ""))


def _figures(rows: pl.DataFrame, key: str) -> dict[str, Figure]:
    return {
        name: Figure(war=value / 100, remark=remark)
        for name, value, remark in rows.select(key, "value", "remark").iter_rows()
    }


def _one_row_each(rows: pl.DataFrame, keys: list[str], columns: dict[str, str]) -> pl.DataFrame:
    """One row per `keys`: a column for each metric, and all their remarks, each once.

    columns: metric to the column's name
    """
    values = (pl.col("value").filter(metric=metric).first().alias(name) for metric, name in columns.items())
    remarks = pl.col("remark").str.split("; ").explode()
    joined = remarks.filter(remarks != "").unique(maintain_order=True).str.join("; ").alias("remark")
    return rows.group_by(keys, maintain_order=True).agg(*values, joined)
