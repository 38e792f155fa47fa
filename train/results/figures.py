"""Figures of a prediction table: WAR, UAR, confusion, by group."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from dfer.train.data.class_matching import label_ids, only_covered
from dfer.train.results import metrics
from dfer.train.results.bootstrap import Intervals, intervals
from dfer.train.results.predictions import GROUPED


@dataclass(frozen=True, kw_only=True)
class Figures:
    """WAR and UAR (0–1) over all clips, where one without a usable face counts as predicted as the training
    set's most frequent class, and over the usable clips alone. loss: mean cross-entropy of the usable clips.
    confusion: all clips, rows the truth."""

    clips: int
    usable: int
    war: float
    uar: float
    war_usable: float
    uar_usable: float
    loss: float
    confusion: np.ndarray

    @property
    def words(self) -> str:
        """WAR and UAR over all clips, for a picture's title."""
        return f"WAR {100 * self.war:.1f} %, UAR {100 * self.uar:.1f} %"


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A judged network: its classes, after how many epochs, on which clips, and how it did.

    groups: for each of GROUPED, and `dataset`, where the clips name more than one, their figures (`by_group`).
    renamed, not_covered: as in `ClassMatch`; incomparable: why the figures cannot stand beside published ones;
    notes: how the caches fit together; judged_on: how the clips were chosen; origin: what made network and caches;
    trained_on: ids of those clips whose files the network was trained on."""

    labels: tuple[str, ...]
    epochs: int
    dataset: str
    clips: str
    predictions: pl.DataFrame
    figures: Figures
    intervals: Intervals
    groups: Mapping[str, pl.DataFrame]
    renamed: Mapping[str, str] = field(default_factory=dict)
    not_covered: Mapping[str, int] = field(default_factory=dict)
    incomparable: str | None = None
    notes: tuple[str, ...] = ()
    judged_on: str = ""
    origin: Mapping[str, Any] = field(default_factory=dict)
    trained_on: tuple[str, ...] = ()


def compute_figures(predictions: pl.DataFrame, labels: Sequence[str]) -> Figures:
    """The figures of a prediction table (`predictions.py`) over its clips with a class of the network."""
    judged = only_covered(predictions, labels)
    usable = judged.filter("usable")
    whole, part = (_confusion(table, labels) for table in (judged, usable))
    return Figures(
        clips=len(judged),
        usable=len(usable),
        war=metrics.war(whole),
        uar=metrics.uar(whole),
        war_usable=metrics.war(part),
        uar_usable=metrics.uar(part),
        loss=_mean_loss(usable, labels),
        confusion=whole,
    )


def by_group(predictions: pl.DataFrame, column: str, labels: Sequence[str]) -> pl.DataFrame:
    """A row for each value of a column of the prediction table: its clips, usable ones, WAR and UAR over all."""
    judged = only_covered(predictions, labels).with_columns(hit=pl.col("label") == pl.col("predicted"))
    recalls = judged.group_by(column, "label").agg(recall=pl.col("hit").mean())
    uar = recalls.group_by(column).agg(uar=pl.col("recall").mean())
    counted = judged.group_by(column).agg(
        clips=pl.len().cast(pl.Int64), usable=pl.col("usable").sum().cast(pl.Int64), war=pl.col("hit").mean()
    )
    return counted.join(uar, on=column, nulls_equal=True).sort(column)


def evaluate_predictions(
    labels: tuple[str, ...], epochs: int, dataset: str, clips: str, predictions: pl.DataFrame, **about: Any
) -> Evaluation:
    """All there is to say of a prediction table.

    labels: of the network; clips: which of the dataset's, in a word; about: the fields of an Evaluation that do not
    follow from the table.
    """
    grouped = [name for name in ("dataset", *GROUPED) if name in predictions.columns]
    groups = [name for name in grouped if predictions[name].drop_nulls().n_unique() > 1]
    return Evaluation(
        labels=labels,
        epochs=epochs,
        dataset=dataset,
        clips=clips,
        predictions=predictions,
        figures=compute_figures(predictions, labels),
        intervals=intervals(only_covered(predictions, labels), labels),
        groups={name: by_group(predictions, name, labels) for name in groups},
        **about,
    )


def _mean_loss(predictions: pl.DataFrame, labels: Sequence[str]) -> float:
    if predictions.is_empty():
        return float("nan")
    shares = predictions.select(f"p_{label}" for label in labels).to_numpy()
    own = shares[np.arange(len(shares)), label_ids(predictions, labels)]
    return float(-np.log(np.maximum(own, np.finfo(np.float32).tiny)).mean())


def _confusion(predictions: pl.DataFrame, labels: Sequence[str]) -> np.ndarray:
    truth = np.array(label_ids(predictions, labels), int)
    predicted = np.array(label_ids(predictions.select(label="predicted"), labels), int)
    return metrics.confusion(truth, predicted, len(labels))
