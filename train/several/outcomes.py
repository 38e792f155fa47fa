"""What a candidate gave: figures, predictions and costs, from its runs or cross-validations with each seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import polars as pl

from dfer.train.commands.describe import network_parts
from dfer.train.config import TrainConfig
from dfer.train.data.caches import Pool
from dfer.train.data.splits import SplitChoice
from dfer.train.engine.experiment import Experiment, read_origin
from dfer.train.results import run_folder
from dfer.train.results.baseline import read_baseline
from dfer.train.results.figures import compute_figures
from dfer.train.results.logs import read_rows
from dfer.train.results.predictions import read_predictions
from dfer.train.several.crossval import CrossValidation, fold_folder

# Name in a `candidates.Row`, epoch, and figure.
FIGURES = (
    ("war", "last", "war"),
    ("uar", "last", "uar"),
    ("best_war", "best", "war"),
    ("best_uar", "best", "uar"),
)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of a candidate: numbers of parameters, of multiply-adds for a clip, and clips trained on in a second.

    clips_per_second: median over the epochs of all its runs; it depends on what else the machine did
    """

    parameters: int
    multiply_adds: int
    clips_per_second: float


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """The landmark baseline on the test clips of a candidate.

    war, uar: 0–1, means over folds and seeds
    predictions: a table for each seed
    """

    war: float
    uar: float
    predictions: tuple[pl.DataFrame, ...]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a candidate was tested on, and its results.

    seen: whether its test clips are its training clips
    figures: by their names in `candidates.Row`, means over folds and seeds
    predictions: of all its test clips after the last epoch, a table for each seed
    baseline: None unless all its runs have one
    """

    dataset: str
    protocol: str
    seen: bool
    clips: int
    labels: tuple[str, ...]
    figures: Mapping[str, float]
    predictions: tuple[pl.DataFrame, ...]
    baseline: Baseline | None
    cost: Cost


def outcome(done: Sequence[tuple[Path, CrossValidation | None]], config: TrainConfig, pool: Pool) -> Outcome:
    """The outcome of a candidate.

    done: the folder of each seed's run, or of its cross-validation and its results
    config: its settings
    """
    found = [_of_folds(result) if result else _of_run(folder) for folder, result in done]
    runs = [run for folder, result in done for run in _runs(folder, result)]
    first, _, _ = found[0]
    network = network_parts(
        Experiment(config=config, split=SplitChoice()).settled(pool).config, len(pool.labels), pool.keypoints
    )[-1]
    return Outcome(
        **first,
        figures={name: float(np.mean([figures[name] for _, figures, _ in found])) for name, *_ in FIGURES},
        predictions=tuple(predictions for *_, predictions in found),
        baseline=_baseline(done, first["labels"]),
        cost=Cost(
            parameters=network.parameters,
            multiply_adds=network.multiply_adds,
            clips_per_second=median(row.clips_per_second for run in runs for row in read_rows(run)),
        ),
    )


def _baseline(
    done: Sequence[tuple[Path, CrossValidation | None]], labels: tuple[str, ...]
) -> Baseline | None:
    of_seeds = [[read_baseline(run, labels) for run in _runs(folder, result)] for folder, result in done]
    if any(table is None for tables in of_seeds for table in tables):
        return None
    figures = [compute_figures(table, labels) for tables in of_seeds for table in tables]
    war, uar = np.mean([(each.war, each.uar) for each in figures], axis=0).tolist()
    return Baseline(war=war, uar=uar, predictions=tuple(pl.concat(tables) for tables in of_seeds))


def _runs(folder: Path, result: CrossValidation | None) -> list[Path]:
    return [fold_folder(folder, fold.number) for fold in result.folds] if result else [folder]


def _of_folds(result: CrossValidation) -> tuple[dict, dict[str, float], pl.DataFrame]:
    about = {
        "dataset": result.dataset,
        "protocol": result.protocol,
        "seen": False,
        "clips": result.pooled_last.clips,
        "labels": result.labels,
    }
    figures = {name: result.mean_and_sd(which, figure)[0] for name, which, figure in FIGURES}
    return about, figures, result.predictions


def _of_run(run: Path) -> tuple[dict, dict[str, float], pl.DataFrame]:
    origin = read_origin(run)
    labels = tuple(origin["labels"])
    about = {
        "dataset": origin["dataset"],
        "protocol": origin["protocol"],
        "seen": origin["tested_on_training_clips"],
        "clips": origin["test_clips"],
        "labels": labels,
    }
    tables = {
        "last": read_predictions(run / run_folder.PREDICTIONS, labels),
        "best": read_predictions(run / run_folder.BEST_PREDICTIONS, labels),
    }
    found = {which: compute_figures(table, labels) for which, table in tables.items()}
    return about, {name: getattr(found[which], figure) for name, which, figure in FIGURES}, tables["last"]
