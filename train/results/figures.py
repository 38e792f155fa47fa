"""WAR, UAR, loss and confusion matrix of a prediction table, over all clips and by group."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from dfer.train.data.class_matching import label_ids, only_covered
from dfer.train.results import metrics


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Results over all clips and over the usable ones.

    clips, usable: numbers of clips
    war, uar: over all clips, 0–1; a clip without a usable face counts as predicted as the training set's most
        frequent class
    war_usable, uar_usable: over the usable clips, 0–1
    loss: mean cross-entropy of the usable clips
    confusion: (classes, classes) counts of all clips, rows are the true class
    """

    clips: int
    usable: int
    war: float
    uar: float
    war_usable: float
    uar_usable: float
    loss: float
    confusion: np.ndarray

    @property
    def summary(self) -> str:
        """WAR and UAR over all clips, for a plot's title."""
        return f"WAR {100 * self.war:.1f} %, UAR {100 * self.uar:.1f} %"


def compute_figures(predictions: pl.DataFrame, labels: Sequence[str]) -> Figures:
    """The figures of a prediction table over its clips with one of the classes `labels`."""
    covered = only_covered(predictions, labels)
    usable = covered.filter("usable")
    of_all, of_usable = (_confusion(table, labels) for table in (covered, usable))
    return Figures(
        clips=len(covered),
        usable=len(usable),
        war=metrics.war(of_all),
        uar=metrics.uar(of_all),
        war_usable=metrics.war(of_usable),
        uar_usable=metrics.uar(of_usable),
        loss=_mean_loss(usable, labels),
        confusion=of_all,
    )


def figures_json(figures: Figures) -> dict[str, int | float | None]:
    """Numbers of clips, WAR and UAR for JSON; shares in 0–1, null if unknown."""
    shares = {name: known(getattr(figures, name)) for name in ("war", "uar", "war_usable", "uar_usable")}
    return {"clips": figures.clips, "usable": figures.usable, **shares}


def known(share: float) -> float | None:
    """None for NaN, which JSON cannot express."""
    return None if share != share else float(share)


def by_group(predictions: pl.DataFrame, column: str, labels: Sequence[str]) -> pl.DataFrame:
    """One row per value of a column of a prediction table: clips, usable, war and uar (0–1, over all its clips)."""
    covered = only_covered(predictions, labels).with_columns(hit=pl.col("label") == pl.col("predicted"))
    recalls = covered.group_by(column, "label").agg(recall=pl.col("hit").mean())
    uar = recalls.group_by(column).agg(uar=pl.col("recall").mean())
    counts = covered.group_by(column).agg(
        clips=pl.len().cast(pl.Int64), usable=pl.col("usable").sum().cast(pl.Int64), war=pl.col("hit").mean()
    )
    return counts.join(uar, on=column, nulls_equal=True).sort(column)


def _mean_loss(predictions: pl.DataFrame, labels: Sequence[str]) -> float:
    if predictions.is_empty():
        return float("nan")
    shares = predictions.select(f"p_{label}" for label in labels).to_numpy()
    of_truth = shares[np.arange(len(shares)), label_ids(predictions, labels)]
    return float(-np.log(np.maximum(of_truth, np.finfo(np.float32).tiny)).mean())


def _confusion(predictions: pl.DataFrame, labels: Sequence[str]) -> np.ndarray:
    truth = np.array(label_ids(predictions, labels), int)
    predicted = np.array(label_ids(predictions.select(label="predicted"), labels), int)
    return metrics.confusion(truth, predicted, len(labels))
