"""`train evaluate`: test the network of a run on the clips of one or more caches."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from dfer.schemas.manifest import fold_numbers
from dfer.schemas.support.commands import printable
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.files import write_atomic, writing
from dfer.schemas.support.text import counted
from dfer.train.config import RecipeConfig
from dfer.train.data.caches import Pool, open_pool, usable, with_label
from dfer.train.data.class_matching import match_classes, only_covered
from dfer.train.data.leaks import overlap
from dfer.train.data.loader import worker_deaths_explained
from dfer.train.data.splits import Split, SplitChoice, choose_split
from dfer.train.engine import checkpoint
from dfer.train.engine.checkpoint import Checkpoint
from dfer.train.engine.device import choose_device
from dfer.train.engine.experiment import RunOptions, clips_hash, read_origin
from dfer.train.engine.forward import predict_clips, refuse_nan
from dfer.train.results import metrics
from dfer.train.results.baseline import baseline_figures, baseline_json
from dfer.train.results.bootstrap import Intervals, bootstrap_intervals
from dfer.train.results.comparison import not_comparable_reason, published_json
from dfer.train.results.figures import Figures, by_group, compute_figures, figures_json, known
from dfer.train.results.plots import confusion_png
from dfer.train.results.predictions import GROUPED, prediction_table, write_predictions
from dfer.train.results.run_folder import output_file, require_trained


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Results of a network, or of the landmark baseline, on some clips.

    labels: the network's classes
    epochs: how many it was trained for; None for the baseline
    dataset: of the clips
    clips: which of the dataset's: `test`, `train` or `all`
    clips_description: how they were chosen
    predictions: the prediction table
    figures, intervals: WAR, UAR and their 95 % intervals
    groups: results by each column of GROUPED, and by `dataset`, that has more than one value
    renamed, not_covered: as in `ClassMatch`
    not_comparable: why the results cannot be compared with published ones; None if they can
    notes: how the caches fit together
    origin: what made the network and the caches
    trained_on: ids of the clips in the figures that the network was trained on (same file content)
    baseline: figures of the landmark baseline on the same clips, if they are the run's own test clips
    views: how many views of each clip were averaged
    """

    labels: tuple[str, ...]
    epochs: int | None
    dataset: str
    clips: str
    clips_description: str
    predictions: pl.DataFrame
    figures: Figures
    intervals: Intervals
    groups: Mapping[str, pl.DataFrame]
    renamed: Mapping[str, str]
    not_covered: Mapping[str, int]
    not_comparable: str | None
    notes: tuple[str, ...]
    origin: Mapping[str, Any]
    trained_on: tuple[str, ...]
    baseline: Figures | None = None
    views: int = 1


def evaluate_run(
    run: Path,
    folders: Sequence[Path],
    which: str,
    clips: str,
    run_options: RunOptions,
    *,
    views: int = 1,
) -> Evaluation:
    """Evaluate a network of a run on one or more caches.

    run: the run's folder
    folders: of the caches
    which: `last` or `best`, the network's epoch
    clips: `test`, `train` or `all`; labels are matched with the network's by meaning
    views: how many views of each clip to average (`sampling.evaluation_view`)

    Raises UserError for a run or cache that cannot be used.
    """
    require_trained(run)
    saved = checkpoint.load(run / f"{which}.pt")
    pool = open_pool(*folders)
    split = choose_clips(pool, run, saved.config.recipe, clips)
    matched = match_classes(split.test, saved.labels)
    trained_on = overlap(only_covered(matched.clips, saved.labels), saved.trained_on)
    predictions = _predictions(saved, pool, matched.clips, views, run_options)
    return Evaluation(
        labels=saved.labels,
        epochs=saved.epoch,
        dataset=pool.dataset,
        clips=clips,
        clips_description=split.description,
        predictions=predictions,
        figures=compute_figures(predictions, saved.labels),
        intervals=bootstrap_intervals(only_covered(predictions, saved.labels), saved.labels),
        groups=groups_of(predictions, saved.labels),
        renamed=matched.renamed,
        not_covered=matched.not_covered,
        not_comparable=not_comparable_reason(
            pool.dataset,
            trained_on=str(saved.origin.get("dataset")),
            protocol=split.protocol,
            clips=len(matched.clips),
            not_covered=sum(matched.not_covered.values()),
        ),
        notes=pool.notes,
        origin={
            "network": {**saved.origin, "checkpoint": which, "settings": saved.config.to_dict()},
            "dataset": pool.dataset,
            "cache_settings_hash": pool.settings_hash,
            "judged_on": split.description,
            "clips_trained_on": len(trained_on),
            "views": views,
        },
        trained_on=tuple(trained_on),
        baseline=_baseline(run, split, saved.labels) if clips == "test" else None,
        views=views,
    )


def _baseline(run: Path, split: Split, labels: Sequence[str]) -> Figures | None:
    """The figures of the run's landmark baseline, if these are the run's own clips."""
    of_run = clips_hash(split) == read_origin(run).get("clips_hash")
    return baseline_figures(run, labels) if of_run else None


def choose_clips(pool: Pool, run: Path, recipe: RecipeConfig, clips: str) -> Split:
    """Choose the clips of a pool to evaluate, as the test part of a split.

    run: the run whose split is applied to the pool
    recipe: of the run; its seed decides splits that are drawn
    clips: `test` or `train`, a part of that split, or `all` labelled clips

    Raises UserError if the run's split does not fit the pool.
    """
    if pool.clips["label"].is_null().all():
        raise UserError(
            f"{pool.where}: no clip has a label, so there is nothing to evaluate; `train predict` needs none"
        )
    if clips == "all":
        labelled = with_label(pool.clips)
        return Split(train=labelled.clear(), test=labelled, description="all clips")
    origin = read_origin(run)
    choice = SplitChoice.from_dict(origin["split"])
    has_split = not fold_numbers(pool.clips) and pool.clips["split"].is_not_null().any()
    if choice.fold is not None and has_split and pool.dataset != origin["dataset"]:
        choice = SplitChoice()  # another dataset, with a split instead of folds
    try:
        split = choose_split(pool.clips, choice, recipe.seed, votes=recipe.soft_labels)
    except UserError:  # its advice is about training
        raise UserError(
            f"{pool.where} cannot be split like the run ({origin['tested_on']}); "
            "evaluate all its clips with `train evaluate --clips all`"
        ) from None
    given, have = ("the given cache", "has") if len(pool.caches) == 1 else ("the given caches", "have")
    of_run = clips_hash(split) == origin.get("clips_hash")
    if split.seen and not of_run:
        return dataclasses.replace(split, description=f"all clips ({given} {have} no split)", seen=False)
    if clips == "test":
        return split
    description = "the training clips" if of_run else f"the training clips of {given}"
    return Split(train=split.test, test=with_label(split.train), description=description)


@worker_deaths_explained()
def _predictions(
    saved: Checkpoint, pool: Pool, clips: pl.DataFrame, views: int, run_options: RunOptions
) -> pl.DataFrame:
    """The prediction table of some clips of the pool, with the mean of the probabilities over the views."""
    device = choose_device(run_options.device)
    network = checkpoint.restore(saved).to(device)
    workers = run_options.loader_workers or 0
    probabilities = predict_clips(
        network, pool, usable(clips), saved.config, device, views=views, loader_workers=workers
    )
    refuse_nan(probabilities)
    return prediction_table(clips, probabilities, saved.labels, saved.majority)


def groups_of(predictions: pl.DataFrame, labels: Sequence[str]) -> dict[str, pl.DataFrame]:
    """Results by each column of GROUPED, and by `dataset`, that has more than one value."""
    columns = [name for name in ("dataset", *GROUPED) if name in predictions.columns]
    several = [name for name in columns if predictions[name].drop_nulls().n_unique() > 1]
    return {name: by_group(predictions, name, labels) for name in several}


@dataclass(frozen=True, kw_only=True)
class ResultFiles:
    """Where to write an evaluation, with links followed; None: nowhere."""

    predictions: Path | None
    confusion: Path | None


def result_files(predictions: Path | None, confusion: Path | None = None) -> ResultFiles:
    """Check the files of `--predictions` and `--confusion`, before the work. Raises UserError."""
    return ResultFiles(
        predictions=predictions and output_file(predictions, "--predictions", (".parquet", ".csv")),
        confusion=confusion and output_file(confusion, "--confusion", (".png",)),
    )


def write_files(result: Evaluation, files: ResultFiles) -> None:
    """Write the prediction table and the confusion matrix. Raises UserError if a file cannot be written."""
    if files.predictions:
        write_predictions(files.predictions, result.predictions, result.origin)
    if files.confusion:
        content = _confusion_picture(result)
        with writing(f"the confusion matrix {files.confusion}", "another --confusion"):
            write_atomic(files.confusion, content)


def _confusion_picture(result: Evaluation) -> bytes:
    """The confusion matrix of all clips, as PNG."""
    figures = result.figures
    title = f"{figures.summary}\n{counted(figures.clips, 'clip')} of {printable(result.dataset)}"
    return confusion_png(figures.confusion, result.labels, title)


def as_dict(result: Evaluation) -> dict[str, Any]:
    """An evaluation for JSON; shares in 0–1, null if unknown."""
    figures = result.figures
    recalls = metrics.recalls(figures.confusion)
    return {
        "epochs": result.epochs,
        "views": result.views,
        **figures_json(figures),
        "baseline": baseline_json(result.baseline),
        "recall": {label: known(recall) for label, recall in zip(result.labels, recalls, strict=True)},
        "confusion": figures.confusion.tolist(),
        "intervals": {"level": 0.95, **dataclasses.asdict(result.intervals)},
        "renamed": dict(result.renamed),
        "not_covered": dict(result.not_covered),
        **published_json(result.dataset, result.not_comparable),
        "judged_on": result.clips_description,
        "trained_on": list(result.trained_on),
        "groups": {name: groups.to_dicts() for name, groups in result.groups.items()},
        "predictions": dict(result.predictions.select("clip_id", "predicted").iter_rows()),
    }
