"""How far WAR and UAR could be off because the judged clips are a sample: percentile bootstrap (Efron 1979)."""

from dataclasses import dataclass

import numpy as np
import polars as pl


@dataclass(frozen=True, kw_only=True)
class Intervals:
    """95 % of the resamples lie in these (0–1). drawn: what was drawn with replacement, `subjects` or `clips`."""

    war: tuple[float, float]
    uar: tuple[float, float]
    drawn: str


def intervals(
    predictions: pl.DataFrame, labels: tuple[str, ...], *, resamples: int = 2000, seed: int = 0
) -> Intervals:
    """Intervals for the labelled clips of a prediction table (`predictions.prediction_table`).

    Whole subjects are drawn where the table names at least two, since clips of one face are alike; else clips.
    """
    judged = predictions.filter(pl.col("label").is_not_null())
    subjects = judged["subject"].n_unique() > 1 and judged["subject"].null_count() == 0
    keys = ["subject", "label", "predicted"] if subjects else ["label", "predicted"]
    cells = judged.group_by(keys).len().sort(keys)
    numbers = {label: number for number, label in enumerate(labels)}
    truth, predicted = (cells[name].replace_strict(numbers).to_numpy() for name in ("label", "predicted"))
    counts = cells["len"].to_numpy()
    if subjects:
        # An item is a subject with all its cells, each drawn with the same chance.
        item = cells["subject"].rank("dense").to_numpy().astype(int) - 1
        items = np.zeros((item.max() + 1, len(labels), len(labels)))
        np.add.at(items, (item, truth, predicted), counts)
        weights = np.ones(len(items), int)
    else:
        # An item is a cell of the confusion matrix, drawn as often as it has clips: the same as drawing clips.
        items = np.zeros((len(cells), len(labels), len(labels)))
        items[np.arange(len(cells)), truth, predicted] = 1
        weights = counts
    draws = np.random.default_rng(seed).multinomial(weights.sum(), weights / weights.sum(), size=resamples)
    war, uar = _figures(np.tensordot(draws, items, axes=1))
    low_high = lambda values: tuple(np.quantile(values, (0.025, 0.975)).tolist())  # noqa: E731
    return Intervals(war=low_high(war), uar=low_high(uar), drawn="subjects" if subjects else "clips")


def _figures(matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """WAR and UAR of confusion matrices (R, C, C), each (R,)."""
    hits, sums = np.diagonal(matrices, axis1=1, axis2=2), matrices.sum(2)  # (R, C)
    recall = np.divide(hits, sums, out=np.zeros(sums.shape), where=sums > 0)
    return hits.sum(1) / sums.sum(1), recall.sum(1) / (sums > 0).sum(1)
