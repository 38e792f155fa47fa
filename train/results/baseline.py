"""The landmark baseline, which every network has to beat: what the landmark tables alone say about the test clips.

A run computes it for its own split when it starts, and keeps its predictions in baseline.parquet.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from dfer.schemas.support.errors import UserError
from dfer.schemas.support.files import remove_durably, write_atomic
from dfer.train.data.caches import Pool, usable, with_label
from dfer.train.data.class_matching import label_ids, most_frequent
from dfer.train.data.landmark_features import LandmarkFeatures, uses_scores
from dfer.train.data.splits import Split
from dfer.train.models.landmark_regression import STRENGTH, fit
from dfer.train.results.figures import Figures, compute_figures, figures_json
from dfer.train.results.metrics import percent
from dfer.train.results.predictions import as_parquet, prediction_table, read_predictions
from dfer.train.results.run_folder import BASELINE, writing

NAME = "landmark baseline"
ROW = "baseline"  # name of its row in a table
DESCRIPTION = f"{NAME} (logistic regression, no pixels)"


def baseline_predictions(features: LandmarkFeatures, split: Split) -> pl.DataFrame:
    """Fit to a split's training clips, and predict its test clips: their prediction table.

    features: of the clips of the split

    Raises UserError as `clip_features`.
    """
    labels, trained = features.pool.labels, with_label(usable(split.train))
    numbers = np.array(label_ids(trained, labels))
    regression = fit(features.of(trained), numbers, len(labels))
    shares = np.exp(regression.log_probabilities(features.of(usable(split.test))))
    return prediction_table(split.test, shares, labels, most_frequent(trained))


def features_note(pool: Pool) -> str:
    """What the baseline of a pool is fitted to, for a person to read."""
    fitted = "logistic regression, no pixels, on each clip's mean"
    if uses_scores(pool):
        return f"{fitted} of 68 points and 52 expression scores"
    return f"{fitted} of 68 points; {pool.scores_left_out}"


def describe_features(pool: Pool) -> dict[str, Any]:
    """How the baseline of a pool is made, for the metadata of its predictions."""
    return {"regression": DESCRIPTION, "expression_scores": uses_scores(pool), "C": STRENGTH}


def keep_baseline(out: Path, features: LandmarkFeatures, split: Split, origin: Mapping[str, Any]) -> str:
    """Compute the baseline of a run's split and write it to the run's folder.

    features: of the clips of the split
    origin: what made the run (`origin_of`)

    Returns a line for a person: its figures, or why it cannot be computed. Then an older one is removed.
    """
    try:
        table = baseline_predictions(features, split)
    except UserError as error:
        with writing(out):
            remove_durably(out / BASELINE)
        return f"no {NAME}: {error}"
    pool = features.pool
    with writing(out):
        write_atomic(out / BASELINE, as_parquet(table, {**origin, "baseline": describe_features(pool)}))
    return line_to_beat(compute_figures(table, pool.labels))


def read_baseline(run: Path, labels: Sequence[str]) -> pl.DataFrame | None:
    """A run's baseline: its prediction table of the test clips. None if it has none; UserError if it is damaged."""
    path = run / BASELINE
    if not path.exists():
        return None
    return read_predictions(path, labels, advice="remove it, and results are shown without a baseline")


def baseline_figures(run: Path, labels: Sequence[str]) -> Figures | None:
    """The figures of a run's baseline; None if it has none. Raises UserError if it is damaged."""
    table = read_baseline(run, labels)
    return None if table is None else compute_figures(table, labels)


def pooled_figures(runs: Sequence[Path], labels: Sequence[str]) -> Figures | None:
    """The figures of the baselines of several runs, all test clips together; None unless all have one."""
    tables = [table for run in runs if (table := read_baseline(run, labels)) is not None]
    return compute_figures(pl.concat(tables), labels) if len(tables) == len(runs) else None


def line_to_beat(figures: Figures) -> str:
    """One line with the figures of a baseline, to print next to those of a network."""
    return f"to beat: {DESCRIPTION}: WAR {percent(figures.war)}, UAR {percent(figures.uar)}"


def baseline_json(figures: Figures | None) -> dict[str, Any] | None:
    """The figures of a baseline for JSON; null if there is none."""
    return figures and {"name": DESCRIPTION, **figures_json(figures)}
