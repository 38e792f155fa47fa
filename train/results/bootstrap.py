"""Confidence intervals of WAR and UAR by percentile bootstrap (Efron 1979)."""

from dataclasses import dataclass

import numpy as np
import polars as pl


@dataclass(frozen=True, kw_only=True)
class Intervals:
    """95 % intervals (low, high), 0–1. drawn: what was resampled, `subjects` or `clips`."""

    war: tuple[float, float]
    uar: tuple[float, float]
    drawn: str


def bootstrap_intervals(
    predictions: pl.DataFrame, labels: tuple[str, ...], *, resamples: int = 2000, seed: int = 0
) -> Intervals:
    """Bootstrap the labelled clips of a prediction table.

    Subjects are resampled if the table names at least two, because clips of one face are alike; otherwise clips.
    """
    labelled = predictions.filter(pl.col("label").is_not_null())
    by_subject = labelled["subject"].n_unique() > 1 and labelled["subject"].null_count() == 0
    keys = ["subject", "label", "predicted"] if by_subject else ["label", "predicted"]
    cells = labelled.group_by(keys).len().sort(keys)
    numbers = {label: number for number, label in enumerate(labels)}
    truth, predicted = (cells[name].replace_strict(numbers).to_numpy() for name in ("label", "predicted"))
    counts = cells["len"].to_numpy()
    if by_subject:
        # An item is a subject's confusion matrix; all subjects are equally likely.
        item = cells["subject"].rank("dense").to_numpy().astype(int) - 1
        items = np.zeros((item.max() + 1, len(labels), len(labels)))
        np.add.at(items, (item, truth, predicted), counts)
        weights = np.ones(len(items), int)
    else:
        # An item is a cell of the confusion matrix, as likely as it has clips: the same as drawing clips.
        items = np.zeros((len(cells), len(labels), len(labels)))
        items[np.arange(len(cells)), truth, predicted] = 1
        weights = counts
    draws = np.random.default_rng(seed).multinomial(weights.sum(), weights / weights.sum(), size=resamples)
    war, uar = _war_and_uar(np.tensordot(draws, items, axes=1))
    return Intervals(war=_central(war), uar=_central(uar), drawn="subjects" if by_subject else "clips")


def _central(values: np.ndarray) -> tuple[float, float]:
    """The central 95 % of the values."""
    low, high = np.quantile(values, (0.025, 0.975)).tolist()
    return low, high


def _war_and_uar(matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """WAR and UAR of confusion matrices (R, C, C), each (R,)."""
    hits, sums = np.diagonal(matrices, axis1=1, axis2=2), matrices.sum(2)  # (R, C)
    recall = np.divide(hits, sums, out=np.zeros(sums.shape), where=sums > 0)
    return hits.sum(1) / sums.sum(1), recall.sum(1) / (sums > 0).sum(1)
