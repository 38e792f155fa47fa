"""`train crossval`: train one run per fold, then combine their results.

The output folder gets a run per fold (fold_1, …) and, for all folds together, crossval.csv, predictions.parquet,
predictions_best.parquet (every test clip once, with its fold) and confusion.png. Started again, it resumes.
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
from dfer.train.commands.progress import Notices
from dfer.train.commands.run import train_run
from dfer.train.config import TrainConfig
from dfer.train.data.caches import Pool, open_pool
from dfer.train.data.splits import SplitChoice, official_folds
from dfer.train.engine import distributed
from dfer.train.engine.device import choose_device
from dfer.train.engine.experiment import Experiment, RunOptions, read_origin
from dfer.train.engine.weights import FROM_SCRATCH, Start
from dfer.train.results import plots, run_folder
from dfer.train.results.baseline import baseline_figures, baseline_json, pooled_figures
from dfer.train.results.bootstrap import Estimate, as_json, estimate
from dfer.train.results.comparison import not_comparable_reason, published_json
from dfer.train.results.figures import Figures, compute_figures
from dfer.train.results.logs import best_row, read_rows
from dfer.train.results.predictions import as_parquet, read_predictions
from dfer.train.results.run_folder import CROSSVAL, refuse_run_or_cache

MAX_FOLDS = 1000
DRAWN = {"subject": "subject_folds", "clips": "clip_folds"}  # of --folds: field of the SplitChoice
FIGURES = ("war", "uar", "war_usable", "uar_usable")


@dataclass(frozen=True, kw_only=True)
class FoldResult:
    """Results of one fold after its last epoch and its best, the one with the highest test WAR (from 0).

    baseline: of the landmark baseline on the same clips; None if the run has none
    """

    number: int
    last: Figures
    best: Figures
    best_epoch: int
    baseline: Figures | None


@dataclass(frozen=True, kw_only=True)
class CrossValidation:
    """Results of every fold, and of all test clips pooled, after the last epoch and after each fold's best.

    protocol: as in `comparison.not_comparable_reason`
    pooled_baseline: of the landmark baseline; None unless all folds have one
    estimate: WAR and UAR of `pooled_last` with their intervals
    predictions: of all test clips after the last epoch
    """

    dataset: str
    protocol: str
    labels: tuple[str, ...]
    folds: tuple[FoldResult, ...]
    pooled_last: Figures
    pooled_best: Figures
    pooled_baseline: Figures | None
    estimate: Estimate
    predictions: pl.DataFrame

    @property
    def not_comparable(self) -> str | None:
        """Why the results cannot be compared with published ones; None if they can."""
        clips = self.pooled_last.clips
        return not_comparable_reason(
            self.dataset, trained_on=self.dataset, protocol=self.protocol, clips=clips
        )

    @property
    def pooled(self) -> dict[str, Figures]:
        """All test clips pooled: `last`, `best` and, if there is one, `baseline`."""
        known = {"last": self.pooled_last, "best": self.pooled_best, "baseline": self.pooled_baseline}
        return {which: figures for which, figures in known.items() if figures}

    def mean_and_sd(self, which: str, figure: str) -> tuple[float, float]:
        """Mean and standard deviation of a figure over the folds. which: a key of `pooled`."""
        values = [getattr(getattr(fold, which), figure) for fold in self.folds]
        return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def fold_choices(clips: pl.DataFrame, folds: str) -> list[SplitChoice]:
    """The split of each fold.

    clips: of a pool
    folds: `official`, the dataset's own folds; `subject:K`, K folds of subjects; `clips:K`, K folds of clips

    Raises UserError for another value, or if the caches have no folds or different ones.
    """
    if folds == "official":
        numbers = official_folds(clips)
        if not numbers:
            subjects = clips["subject"].drop_nulls().n_unique()
            drawn = f"subject:{min(subjects, 5)}" if subjects > 1 else "clips:5"
            raise UserError(
                f"--folds official: the cache has no folds; use --folds {drawn}, or leave --folds out (instead of "
                "`train crossval` use `train run`)"
            )
        return [SplitChoice(fold=number) for number in numbers]
    word, _, count = folds.partition(":")
    if word not in DRAWN or not count.isdecimal() or not 2 <= float(count) <= MAX_FOLDS:
        raise UserError(
            f"--folds {folds}: must be official, subject:K or clips:K, with K from 2 to {MAX_FOLDS}"
        )
    drawn = {DRAWN[word]: int(count)}
    return [SplitChoice(fold=number, **drawn) for number in range(1, int(count) + 1)]


def check_splits(pool: Pool, config: TrainConfig, folds: str | None, split: SplitChoice) -> None:
    """Raise UserError unless these settings can be trained with on each of the folds, or on the split."""
    for choice in fold_choices(pool.clips, folds) if folds else [split]:
        Experiment(config=config, split=choice).choose(pool)


def cross_validate(
    folders: Sequence[Path],
    out: Path,
    config: TrainConfig,
    folds: str,
    run_options: RunOptions,
    start: Start = FROM_SCRATCH,
    notify: Callable[[str], None] = lambda text: None,
    notices: Notices | None = None,
) -> CrossValidation | None:
    """Train every unfinished fold, each in a folder below `out`, and combine the results.

    folders: of the caches
    folds: as in `fold_choices`
    start: weights that every fold starts from
    notify: called in the first process before each fold, with a line to print
    notices: shared by the runs of a command; None: it has only these

    Returns None in all but the first of several processes.
    Raises UserError for folds, a cache or a folder that cannot be used; checks all folds before the first is trained.
    """
    with distributed.join(choose_device(run_options.device)) as world:
        with distributed.agreed(world):
            refuse_run_or_cache(out)
            pool = open_pool(*folders)
            choices = fold_choices(pool.clips, folds)
            experiments = [Experiment(config=config, split=choice, start=start) for choice in choices]
            for experiment in experiments:  # find a bad last fold now, not after days of training
                experiment.choose(pool)
        notices = notices or Notices(of_folds=True)
        for number, experiment in enumerate(experiments, 1):
            if world.first:
                notify(f"fold {number} of {len(choices)}")
            folder = fold_folder(out, experiment.split.fold)
            train_run(folders, folder, experiment, run_options, resume=True, notices=notices)
        return summarise(out, choices) if world.first else None


def summarise(out: Path, choices: Sequence[SplitChoice]) -> CrossValidation:
    """Combine the predictions of trained folds, and write the tables and the confusion matrix."""
    folders = [(choice.fold, fold_folder(out, choice.fold)) for choice in choices]
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
        protocol=protocol_of(choices),
        labels=labels,
        folds=tuple(_fold_result(number, run, last, best, labels) for number, run in folders),
        pooled_last=compute_figures(last, labels),
        pooled_best=compute_figures(best, labels),
        pooled_baseline=pooled_figures([run for _, run in folders], labels),
        estimate=estimate([last], labels),
        predictions=last,
    )
    with run_folder.writing(out):
        for name, table in pooled.items():
            write_atomic(out / name, as_parquet(table, origin))
        write_atomic(out / CROSSVAL, as_table(result).write_csv().encode())
        figures = result.pooled_last
        title = (
            f"{figures.summary}, {len(choices)} folds pooled\nlast epoch, {counted(figures.clips, 'clip')}"
        )
        write_atomic(out / run_folder.CONFUSION, plots.confusion_png(figures.confusion, labels, title))
    return result


def as_table(result: CrossValidation) -> pl.DataFrame:
    """One row per fold, then their mean and standard deviation, then all clips pooled; shares in 0–1."""
    rows = []
    for fold in result.folds:
        rows.append({"fold": str(fold.number), "clips": fold.last.clips, "best_epoch": fold.best_epoch + 1})
    rows += [{"fold": name, "clips": None, "best_epoch": None} for name in ("mean", "sd")]
    rows.append({"fold": "pooled", "clips": result.pooled_last.clips, "best_epoch": None})
    for which, pooled in result.pooled.items():
        for figure in FIGURES:
            each = [getattr(getattr(fold, which), figure) for fold in result.folds]
            values = [*each, *result.mean_and_sd(which, figure), getattr(pooled, figure)]
            for row, value in zip(rows, values, strict=True):
                row[f"{which}_{figure}"] = value
    return pl.DataFrame(rows, infer_schema_length=None)


def as_dict(result: CrossValidation) -> dict[str, Any]:
    """The table and the published results for the dataset, for JSON."""
    rows = as_table(result).fill_nan(None).to_dicts()
    return {
        "dataset": result.dataset,
        "rows": rows,
        "baseline": baseline_json(result.pooled_baseline),
        "pooled": as_json(result.estimate),
        **published_json(result.dataset, result.not_comparable),
    }


def _fold_result(
    number: int, run: Path, last: pl.DataFrame, best: pl.DataFrame, labels: tuple[str, ...]
) -> FoldResult:
    of_last, of_best = (compute_figures(table.filter(fold=number), labels) for table in (last, best))
    return FoldResult(
        number=number,
        last=of_last,
        best=of_best,
        best_epoch=best_row(read_rows(run)).epoch,
        baseline=baseline_figures(run, labels),
    )


def protocol_of(choices: Sequence[SplitChoice]) -> str:
    """How these folds are tested, in the words of published results where they have any."""
    return f"mean of {choices[0].drawn_folds or f'{len(choices)} folds'}"


def fold_folder(out: Path, fold: int | None) -> Path:
    """The folder of a fold's run in that of a cross-validation."""
    return out / f"fold_{fold}"
