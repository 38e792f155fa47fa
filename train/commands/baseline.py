"""`train baseline`: logistic regression on the landmark tables of caches, tested like a run or a cross-validation.

It reads no pixels, so it works on what `pipeline share` writes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from dfer.train.commands import evaluate
from dfer.train.commands.evaluate import Evaluation, groups_of
from dfer.train.config import load_config
from dfer.train.data.caches import Pool, fingerprints, open_pool, with_label
from dfer.train.data.folds import fold_choices, protocol_of
from dfer.train.data.landmark_features import LandmarkFeatures
from dfer.train.data.leaks import overlap
from dfer.train.data.splits import Split, SplitChoice
from dfer.train.engine.experiment import Experiment
from dfer.train.results.baseline import DESCRIPTION, baseline_predictions, describe_features, features_note
from dfer.train.results.bootstrap import bootstrap_intervals
from dfer.train.results.comparison import not_comparable_reason
from dfer.train.results.figures import Figures, by_group, compute_figures, known


@dataclass(frozen=True, kw_only=True)
class BaselineResult:
    """Results of the baseline.

    pooled: on the test clips, those of all folds together
    folds: each fold's figures; empty for a single split
    """

    pooled: Evaluation
    folds: Mapping[int, Figures]

    def mean_and_sd(self, figure: str) -> tuple[float, float]:
        """Mean and standard deviation of a figure over the folds."""
        values = [getattr(figures, figure) for figures in self.folds.values()]
        return float(np.mean(values)), float(np.std(values, ddof=1))

    @property
    def compared(self) -> dict[str, tuple[float, float]]:
        """WAR and UAR by name, to put next to published ones."""
        pooled = self.pooled.figures.war, self.pooled.figures.uar
        if not self.folds:
            return {DESCRIPTION: pooled}
        mean = self.mean_and_sd("war")[0], self.mean_and_sd("uar")[0]
        return {DESCRIPTION: mean, f"pooled, {DESCRIPTION}": pooled}


def run_baseline(
    folders: Sequence[Path],
    choice: SplitChoice,
    folds: str | None,
    seed: int,
) -> BaselineResult:
    """Fit and test the baseline.

    folders: of the caches; faces are not needed
    choice: of the split, if `folds` is None
    folds: as in `fold_choices`
    seed: of splits that are drawn

    Raises UserError for a cache, a split or folds that cannot be used.
    """
    pool = open_pool(*folders, faces=False)
    choices = fold_choices(pool.clips, folds, pool.where) if folds else [choice]
    config = load_config("paper", {"seed": seed})  # for its split: it is that of `train run`
    splits = [Experiment(config=config, split=choice).choose(pool) for choice in choices]
    features = LandmarkFeatures(pool, with_label(pool.clips))
    tables = [baseline_predictions(features, split) for split in splits]
    if folds:
        numbers = [choice.fold for choice in choices]
        tables = [own.with_columns(fold=pl.lit(n)) for own, n in zip(tables, numbers, strict=True)]
        protocol = protocol_of(choices)
        each = {n: compute_figures(own, pool.labels) for own, n in zip(tables, numbers, strict=True)}
    else:
        protocol, each = splits[0].protocol, {}
    return BaselineResult(pooled=_evaluation(pool, splits, pl.concat(tables), protocol), folds=each)


def _evaluation(pool: Pool, splits: Sequence[Split], predictions: pl.DataFrame, protocol: str) -> Evaluation:
    """The results of the test clips of all splits together."""
    labels = pool.labels
    groups = groups_of(predictions, labels)
    description = splits[0].description
    if "fold" in predictions.columns:
        by_fold = by_group(predictions, "fold", labels).with_columns(pl.col("fold").cast(pl.String))
        groups = {"fold": by_fold, **groups}
        description = f"{len(splits)} folds, each by a regression on the others"
    trained_on = [
        clip_id
        for split in splits
        for clip_id in overlap(split.test, fingerprints(split.train)["fingerprint"])
    ]
    return Evaluation(
        labels=labels,
        epochs=None,
        dataset=pool.dataset,
        clips="test",
        clips_description=description,
        predictions=predictions,
        figures=compute_figures(predictions, labels),
        intervals=bootstrap_intervals(predictions, labels),
        groups=groups,
        renamed={},
        not_covered={},
        not_comparable=not_comparable_reason(
            pool.dataset, trained_on=pool.dataset, protocol=protocol, clips=len(predictions)
        ),
        notes=(features_note(pool), *pool.notes, *_split_notes(splits)),
        origin={
            "baseline": describe_features(pool),
            "dataset": pool.dataset,
            "cache_settings_hash": pool.settings_hash,
            "judged_on": description,
            "clips_trained_on": len(trained_on),
        },
        trained_on=tuple(trained_on),
    )


def _split_notes(splits: Sequence[Split]) -> list[str]:
    """The notes on all splits; one that is not on all of them with the split's description."""
    every = dict.fromkeys(note for split in splits for note in split.notes)
    notes = []
    for note in every:
        noted = [split.description for split in splits if note in split.notes]
        notes.append(note if len(noted) == len(splits) else f"{note} ({', '.join(noted)})")
    return notes


def as_dict(result: BaselineResult) -> dict[str, Any]:
    """The results for JSON, as those of `train evaluate`; with folds also their mean and standard deviation."""
    content = evaluate.as_dict(result.pooled)
    own = {name: value for name, value in content.items() if name not in ("epochs", "baseline")}
    names = ("war", "uar", "war_usable", "uar_usable") if result.folds else ()
    each = {name: tuple(map(known, result.mean_and_sd(name))) for name in names}
    of_folds = {
        "mean": {name: mean for name, (mean, _) in each.items()},
        "sd": {name: sd for name, (_, sd) in each.items()},
    }
    return {"name": DESCRIPTION, **own, "notes": list(result.pooled.notes), **(of_folds if each else {})}
