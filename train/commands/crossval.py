"""All folds of a cache, one run each, and what they come to together.

A cross-validation's folder: a run for each fold (fold_1, …), and of all together crossval.csv, predictions.parquet,
predictions_best.parquet (every judged clip once, with its fold) and confusion.png. Started again, it goes on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from dfer.schemas.support.errors import UserError
from dfer.schemas.support.files import write_atomic
from dfer.schemas.support.text import counted
from dfer.train.commands import run
from dfer.train.config import TrainConfig
from dfer.train.data.caches import open_pool
from dfer.train.data.splits import SplitChoice, official_folds
from dfer.train.engine import distributed
from dfer.train.engine.device import choose_device
from dfer.train.engine.experiment import Experiment, RunOptions, read_origin
from dfer.train.engine.weights import FROM_SCRATCH, Start
from dfer.train.results import plots, run_folder
from dfer.train.results.comparison import as_json, obstacle
from dfer.train.results.figures import Figures, compute_figures
from dfer.train.results.logs import best_row, read_rows
from dfer.train.results.predictions import as_parquet, read_predictions
from dfer.train.results.run_folder import CROSSVAL, refuse_what_is_one

MOST_FOLDS = 1000
FIGURES = ("war", "uar", "war_usable", "uar_usable")


@dataclass(frozen=True, kw_only=True)
class Fold:
    """How one fold's run ended. best_epoch: from 0, the one with the highest WAR on the judged clips."""

    number: int
    last: Figures
    best: Figures
    best_epoch: int


@dataclass(frozen=True, kw_only=True)
class CrossValidation:
    """Every fold, and all judged clips pooled, after the last epoch and after each fold's best.
    protocol: how they were judged, as published results call it."""

    dataset: str
    protocol: str
    labels: tuple[str, ...]
    folds: tuple[Fold, ...]
    pooled_last: Figures
    pooled_best: Figures

    @property
    def incomparable(self) -> str | None:
        """Why the figures cannot stand beside published ones."""
        clips = self.pooled_last.clips
        return obstacle(self.dataset, trained_on=self.dataset, protocol=self.protocol, clips=clips)

    def mean(self, which: str, figure: str) -> tuple[float, float]:
        """Mean and standard deviation over the folds of a figure, `last` or `best`."""
        values = [getattr(getattr(fold, which), figure) for fold in self.folds]
        return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def fold_choices(clips: pl.DataFrame, folds: str) -> list[SplitChoice]:
    """The folds of `official` (the datasets' own) or `subject:K` (K folds of whole subjects). clips: of a pool.

    Raises UserError for another word, or where the caches have none or different ones.
    """
    if folds == "official":
        numbers = official_folds(clips)
        if not numbers:
            raise UserError("--folds official: the cache has no folds; give subject:5, or use `train run`")
        return [SplitChoice(fold=number) for number in numbers]
    word, _, count = folds.partition(":")
    if word != "subject" or not count.isdecimal() or not 2 <= float(count) <= MOST_FOLDS:
        raise UserError(f"--folds {folds}: give official, or subject:K with 2 to {MOST_FOLDS} folds")
    return [SplitChoice(fold=number, subject_folds=int(count)) for number in range(1, int(count) + 1)]


def cross_validate(
    folders: Sequence[Path],
    out: Path,
    config: TrainConfig,
    folds: str,
    run_options: RunOptions,
    start: Start = FROM_SCRATCH,
    on_fold: Callable[[int, int], None] = lambda place, count: None,
) -> CrossValidation | None:
    """Train the folds that are not done yet, each into its own folder; what all come to, None in all but the first
    of several processes.

    on_fold: told in the first process before each fold its place from 0, and how many there are.
    Raises UserError for folds, a cache or a folder that cannot be used; all folds are checked first.
    """
    with distributed.join(choose_device(run_options.device)) as world:
        with distributed.agreed(world):
            refuse_what_is_one(out)
            pool = open_pool(*folders)
            choices = fold_choices(pool.clips, folds)
            experiments = [Experiment(config=config, split=choice, start=start) for choice in choices]
            for experiment in experiments:  # a bad last fold is not to be met after days of training
                experiment.choose(pool)
        for place, experiment in enumerate(experiments):
            if world.first:
                on_fold(place, len(choices))
            run.start(folders, _folder(out, experiment.split), experiment, run_options, resume=True)
        return summarise(out, choices) if world.first else None


def summarise(out: Path, choices: Sequence[SplitChoice]) -> CrossValidation:
    """Judge the folds' predictions one by one and pooled, and write the tables and the confusion matrix."""
    folders = [(choice.fold, _folder(out, choice)) for choice in choices]
    origin = {**read_origin(folders[0][1]), "folds": [vars(choice) for choice in choices]}
    labels = tuple(origin["labels"])
    pooled = {}
    for name in (run_folder.PREDICTIONS, run_folder.BEST_PREDICTIONS):
        tables = [
            read_predictions(run / name, labels).with_columns(fold=pl.lit(fold)) for fold, run in folders
        ]
        pooled[name] = pl.concat(tables, how="diagonal")
    last, best = pooled.values()
    result = CrossValidation(
        dataset=origin["dataset"],
        protocol=_protocol(choices),
        labels=labels,
        folds=tuple(_fold(number, run, last, best, labels) for number, run in folders),
        pooled_last=compute_figures(last, labels),
        pooled_best=compute_figures(best, labels),
    )
    with run_folder.writing(out):
        for name, table in pooled.items():
            write_atomic(out / name, as_parquet(table, origin))
        write_atomic(out / CROSSVAL, as_table(result).write_csv().encode())
        figures = result.pooled_last
        title = f"{figures.words}, {len(choices)} folds pooled\nlast epoch, {counted(figures.clips, 'clip')}"
        write_atomic(out / run_folder.CONFUSION, plots.confusion_png(figures.confusion, labels, title))
    return result


def as_table(result: CrossValidation) -> pl.DataFrame:
    """A row for each fold, their mean and standard deviation, and all clips pooled: figures in 0–1."""
    rows = []
    for fold in result.folds:
        rows.append({"fold": str(fold.number), "clips": fold.last.clips, "best_epoch": fold.best_epoch + 1})
    rows += [{"fold": name, "clips": None, "best_epoch": None} for name in ("mean", "sd")]
    rows.append({"fold": "pooled", "clips": result.pooled_last.clips, "best_epoch": None})
    for which, pooled in (("last", result.pooled_last), ("best", result.pooled_best)):
        for figure in FIGURES:
            each = [getattr(getattr(fold, which), figure) for fold in result.folds]
            values = [*each, *result.mean(which, figure), getattr(pooled, figure)]
            for row, value in zip(rows, values, strict=True):
                row[f"{which}_{figure}"] = value
    return pl.DataFrame(rows, infer_schema_length=None)


def as_dict(result: CrossValidation) -> dict[str, Any]:
    """The same for a program to read, and what is published for the dataset."""
    rows = as_table(result).fill_nan(None).to_dicts()
    return {"dataset": result.dataset, "rows": rows, **as_json(result.dataset, result.incomparable)}


def _fold(number: int, run: Path, last: pl.DataFrame, best: pl.DataFrame, labels: tuple[str, ...]) -> Fold:
    figures = [compute_figures(table.filter(fold=number), labels) for table in (last, best)]
    best = best_row(read_rows(run))
    return Fold(number=number, last=figures[0], best=figures[1], best_epoch=best.epoch)


def _protocol(choices: Sequence[SplitChoice]) -> str:
    of_subjects = " of subjects" if choices[0].subject_folds else ""
    return f"mean of {len(choices)} folds{of_subjects}"


def _folder(out: Path, choice: SplitChoice) -> Path:
    return out / f"fold_{choice.fold}"
