"""Confidence intervals of WAR and UAR, and of the difference between two networks, by percentile bootstrap.

Efron 1979. Several prediction tables of one network are of runs with different seeds, all of the same clips: figures
are averaged over them within each resample, so that an interval says how much the choice of clips matters.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from dfer.schemas.support.errors import UserError
from dfer.train.data.caches import with_label

RESAMPLES = 2000


@dataclass(frozen=True, kw_only=True)
class Intervals:
    """95 % intervals (low, high), 0–1. drawn: what was resampled, `subjects` or `clips`."""

    war: tuple[float, float]
    uar: tuple[float, float]
    drawn: str


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """WAR and UAR, 0–1, averaged over seeds, and their intervals."""

    war: float
    uar: float
    intervals: Intervals


@dataclass(frozen=True, kw_only=True)
class Difference:
    """WAR and UAR of one network minus those of another, −1…1, and the 95 % intervals of these differences."""

    war: float
    uar: float
    intervals: Intervals

    def excludes_zero(self, figure: str) -> bool:
        """Whether the interval of `war` or `uar` excludes zero: more than the choice of clips explains."""
        low, high = getattr(self.intervals, figure)
        return low > 0 or high < 0


def bootstrap_intervals(
    predictions: pl.DataFrame, labels: tuple[str, ...], *, resamples: int = RESAMPLES, seed: int = 0
) -> Intervals:
    """Bootstrap the labelled clips of a prediction table.

    Subjects are resampled if the table names at least two, because clips of one face are alike; otherwise clips.
    """
    return estimate([predictions], labels, resamples=resamples, seed=seed).intervals


def estimate(
    predictions: Sequence[pl.DataFrame],
    labels: tuple[str, ...],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """The figures of a network's prediction tables, one for each seed, and their intervals.

    Raises UserError if the tables have different clips.
    """
    (figures,), drawn = _resample([predictions], labels, resamples, seed)
    return Estimate(**_summary(figures, drawn))


def paired_difference(
    predictions_a: Sequence[pl.DataFrame],
    predictions_b: Sequence[pl.DataFrame],
    labels: tuple[str, ...],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Difference:
    """Network A's figures minus network B's, both on the same clips in every resample.

    predictions_a, predictions_b: prediction tables, one for each seed; all have the same clips, in any order

    Raises UserError if the tables have different clips.
    """
    (of_a, of_b), drawn = _resample([predictions_a, predictions_b], labels, resamples, seed)
    return Difference(**_summary(of_a - of_b, drawn))


def as_json(found: Estimate | Difference) -> dict[str, Any]:
    """Figures and their intervals for JSON."""
    return {"level": 0.95, **dataclasses.asdict(found)}


def _summary(figures: np.ndarray, drawn: str) -> dict:
    """The fields of an Estimate. figures: (1 + R, 2) WAR and UAR of the clips themselves, then of each resample."""
    war, uar = figures[0].tolist()
    low, high = np.quantile(figures[1:], (0.025, 0.975), axis=0).tolist()
    intervals = Intervals(war=(low[0], high[0]), uar=(low[1], high[1]), drawn=drawn)
    return {"war": war, "uar": uar, "intervals": intervals}


def _resample(
    networks: Sequence[Sequence[pl.DataFrame]], labels: tuple[str, ...], resamples: int, seed: int
) -> tuple[np.ndarray, str]:
    """WAR and UAR of each network, (networks, 1 + R, 2), first of the clips themselves; and what was drawn."""
    clips = _with_hits(networks)
    by_subject = clips["subject"].n_unique() > 1 and clips["subject"].null_count() == 0
    hits = [f"hits_{number}" for number in range(len(networks))]
    keys = ["subject", "label"] if by_subject else ["label", *hits]
    cells = clips.group_by(keys).agg(pl.len(), *(pl.col(name).sum().alias(f"all_{name}") for name in hits))
    cells = cells.sort(keys)
    numbers = {label: number for number, label in enumerate(labels)}
    truth = cells["label"].replace_strict(numbers).to_numpy()
    # An item is what is drawn: counts of clips and, for each network, of hits, by class.
    counts = cells["len"].to_numpy()
    values = np.stack([counts, *(cells[f"all_{name}"].to_numpy() for name in hits)], axis=1)
    if by_subject:  # all subjects are equally likely
        item = cells["subject"].rank("dense").to_numpy().astype(int) - 1
        weights = np.ones(item.max() + 1, int)
    else:  # a cell of equal clips is as likely as it has clips: the same as drawing clips
        item, weights, values = np.arange(len(cells)), counts, values / counts[:, None]
    items = np.zeros((len(weights), 1 + len(networks), len(labels)))
    np.add.at(items, (item, slice(None), truth), values)
    random = np.random.default_rng(seed)
    draws = random.multinomial(weights.sum(), weights / weights.sum(), size=resamples)
    sums = np.tensordot(np.concatenate([weights[None], draws]), items, axes=1)  # (1 + R, 1 + networks, C)
    return _war_and_uar(sums[:, 1:], sums[:, :1]), "subjects" if by_subject else "clips"


def _with_hits(networks: Sequence[Sequence[pl.DataFrame]]) -> pl.DataFrame:
    """The labelled clips: subject, label, and for each network the share of its seeds that predict the label."""
    tables = [[_labelled(table) for table in of_seeds] for of_seeds in networks]
    first = tables[0][0]
    same = ["clip_id", "label"]
    for table in (table for of_seeds in tables for table in of_seeds):
        if not table.select(same).equals(first.select(same)):
            raise UserError("the predictions to compare are of different clips")
    hits = {
        f"hits_{number}": np.mean([table["hit"].to_numpy() for table in of_seeds], axis=0)
        for number, of_seeds in enumerate(tables)
    }
    return first.select("subject", "label").with_columns(
        **{name: pl.Series(each) for name, each in hits.items()}
    )


def _labelled(predictions: pl.DataFrame) -> pl.DataFrame:
    hit = pl.col("label") == pl.col("predicted")
    return with_label(predictions).with_columns(hit=hit).sort("clip_id")


def _war_and_uar(hits: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """WAR and UAR (networks, R, 2) of hits (R, networks, C) among counts (R, 1, C) of clips by class."""
    war = hits.sum(2) / counts.sum(2)
    recall = np.divide(hits, counts, out=np.zeros(hits.shape), where=counts > 0)
    uar = recall.sum(2) / (counts > 0).sum(2)
    return np.stack([war, uar], axis=2).swapaxes(0, 1)
