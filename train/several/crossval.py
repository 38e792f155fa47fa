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

from dfer.schemas.support.files import write_atomic
from dfer.schemas.support.text import counted
from dfer.train.commands.progress import Notices
from dfer.train.commands.run import train_run
from dfer.train.commands.run_contents import require_trainable_in
from dfer.train.config import TrainConfig
from dfer.train.data.caches import Pool, open_pool
from dfer.train.data.folds import fold_choices, protocol_of
from dfer.train.data.splits import SplitChoice
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
from dfer.train.results.run_folder import CROSSVAL, require_own
from dfer.train.several.cluster import Job, train_on_cluster

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


def jobs_of(
    folders: Sequence[Path],
    out: Path,
    config: TrainConfig,
    pool: Pool,
    folds: str | None,
    split: SplitChoice,
    start: Start,
) -> list[Job]:
    """The runs of a cross-validation, or the single one if `folds` is None.

    split: of the single run
    start: weights that every run starts from

    Raises UserError unless each of them can be trained in its folder: find it now, not after days of training.
    """
    if folds:
        places = [
            (fold_folder(out, choice.fold), choice) for choice in fold_choices(pool.clips, folds, pool.where)
        ]
    else:
        places = [(out, split)]
    jobs = []
    for folder, choice in places:
        experiment = Experiment(config=config, split=choice, start=start)
        require_trainable_in(folder, experiment, pool)
        jobs.append(Job(folders=tuple(folders), out=folder, experiment=experiment))
    return jobs


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
    folds: as in `folds.fold_choices`
    start: weights that every fold starts from
    notify: called in the first process before each fold, with a line to print
    notices: shared by the runs of a command; None: it has only these

    Returns None in all but the first of several processes.
    Raises UserError for folds, a cache or a folder that cannot be used; checks all folds before the first is trained.
    """
    with distributed.join(choose_device(run_options.here)) as world:
        with distributed.agreed(world):
            require_own(out, CROSSVAL)
            pool = open_pool(*folders)
            jobs = jobs_of(folders, out, config, pool, folds, SplitChoice(), start)
        run_options = train_on_cluster(jobs, run_options, world, notify)
        notices = notices or Notices(of_folds=True)
        for number, job in enumerate(jobs, 1):
            if world.first:
                notify(f"fold {number} of {len(jobs)}")
            train_run(folders, job.out, job.experiment, run_options, resume=True, notices=notices)
        return summarise(out, [job.experiment.split for job in jobs]) if world.first else None


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


def fold_folder(out: Path, fold: int | None) -> Path:
    """The folder of a fold's run in that of a cross-validation."""
    return out / f"fold_{fold}"
