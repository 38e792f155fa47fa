"""Results on the terminal: tables for `train run`, `crossval` and `evaluate`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from dfer.data_manifest.published_results import PAPER, Figure, by_scene
from dfer.schemas.support.text import command, counted
from dfer.train.report.cells import interval as _interval
from dfer.train.report.cells import plain as _text
from dfer.train.report.cells import print_estimate
from dfer.train.report.cells import print_line as _print
from dfer.train.results import metrics
from dfer.train.results.baseline import NAME, line_to_beat
from dfer.train.results.comparison import compare_with_published, footnotes, split_remark
from dfer.train.results.metrics import percent
from dfer.train.results.metrics import points as _points

MAX_GROUPS = 30  # rows of a table of scenes or subjects
MAX_CLASSES = 20  # of a confusion matrix
FIGURE_NAMES = {"war": "WAR", "uar": "UAR", "war_usable": "usable WAR", "uar_usable": "usable UAR"}

if TYPE_CHECKING:
    from dfer.train.commands.baseline import BaselineResult
    from dfer.train.commands.evaluate import Evaluation
    from dfer.train.commands.run import RunResult
    from dfer.train.config import TrainConfig
    from dfer.train.several.crossval import CrossValidation


def print_run(result: "RunResult", out: Path, caches: Sequence[Path], config: "TrainConfig") -> None:
    """Print the metrics of the last epoch and of the best one, and what to do next.

    caches: what the run was given
    config: its settings; with one frame of each clip it is a start for a run on clips
    """
    from dfer.train.config import preset_for_clips
    from dfer.train.results.logs import best_row

    rows = result.rows
    if result.already_finished:
        _print(f"nothing to do: run {out} is complete ({counted(len(rows), 'epoch')})")
        return
    tested_on = "its own training clips" if result.split.seen else "the test clips"
    table = Table(title=f"network tested on {tested_on}", title_justify="left")
    for column in ("", "epoch", *FIGURE_NAMES.values()):
        table.add_column(column, justify="right" if column else "left")
    for name, row in (("last", rows[-1]), ("best test WAR", best_row(rows))):
        figures = (row.test_war, row.test_uar, row.test_war_usable, row.test_uar_usable)
        table.add_row(name, str(row.epoch + 1), *map(percent, figures))
    Console().print(table)
    if result.baseline:
        _print(line_to_beat(result.baseline))
    if not result.split.seen:  # the title says it
        _print(f"test clips: {result.split.description}")
    for note in result.split.notes:
        _print(note)
    _print(f"in {out}: metrics.csv, confusion.png, predictions.parquet, last.pt, best.pt")
    _print(f"next: {command('train', 'evaluate', out, *caches)}")
    if config.data.num_frames == 1:
        preset = preset_for_clips(config)
        start = command("train", "run", "CLIPS", "--preset", preset or "PRESET", "--init-from", out, "--out")
        _print(f"on clips: {start} RUN" + ("" if preset else "; PRESET: one with the same network"))


def print_crossval(result: "CrossValidation", out: Path) -> None:
    """Print each fold, their mean and standard deviation, all clips pooled, and the published results."""
    unusable = result.pooled_last.usable < result.pooled_last.clips
    figures = [*FIGURE_NAMES] if unusable else ["war", "uar"]
    others = [which for which in result.pooled if which != "last"]
    shown = [
        *(("last", figure) for figure in figures),
        *((which, figure) for which in others for figure in ("war", "uar")),
    ]
    columns = [f"{which}\n{FIGURE_NAMES[figure]}" for which, figure in shown]
    table = Table(title=f"{counted(len(result.folds), 'fold')}, %", title_justify="left")
    for column in ("fold", "clips", *columns, "best\nepoch"):
        table.add_column(column, justify="left" if column == "fold" else "right")
    for fold in result.folds:
        values = [_points(getattr(getattr(fold, which), figure)) for which, figure in shown]
        table.add_row(str(fold.number), str(fold.last.clips), *values, str(fold.best_epoch + 1))
    table.add_section()
    means_and_sds = [result.mean_and_sd(which, figure) for which, figure in shown]
    for name, values in zip(("mean", "sd"), zip(*means_and_sds, strict=True), strict=True):
        table.add_row(name, "", *map(_points, values))
    values = [_points(getattr(result.pooled[which], figure)) for which, figure in shown]
    table.add_row("pooled", str(result.pooled_last.clips), *values)
    Console().print(table)
    _print(
        "best: the epoch of each fold with the highest test WAR, as most papers report; sd: standard deviation"
    )
    print_estimate(result.estimate, result.pooled_last.clips)
    if result.pooled_baseline:
        _print(f"{line_to_beat(result.pooled_baseline)}, pooled")
    _print(
        f"in {out}: crossval.csv, confusion.png, predictions.parquet, predictions_best.parquet, a run for each fold"
    )
    names = {"last": "last epoch", "best": "best epoch", "baseline": NAME}
    means = {
        f"ours, {names[which]}": tuple(result.mean_and_sd(which, figure)[0] for figure in ("war", "uar"))
        for which in result.pooled
    }
    of_pooled = {
        f"pooled, {names[which]}": (figures.war, figures.uar) for which, figures in result.pooled.items()
    }
    print_published(result.dataset, {**means, **of_pooled}, result.not_comparable)


def print_evaluation(result: "Evaluation", compared: Mapping[str, tuple[float, float]] | None = None) -> None:
    """Print recalls, WAR and UAR with intervals, the confusion matrix, published results, and groups.

    compared: WAR and UAR by name to put next to the published ones; by default those of the network
    """
    console, figures, intervals = Console(), result.figures, result.intervals
    clips = counted(figures.clips, "clip")
    tested = NAME if result.epochs is None else f"network after epoch {result.epochs}"
    table = Table(title=f"{tested}, tested on {clips}", title_justify="left")
    for column in ("label", "clips", "recall", "95 % interval"):
        table.add_column(column, justify="left" if column == "label" else "right")
    counts, recalls = figures.confusion.sum(1), metrics.recalls(figures.confusion)
    for label, count, recall in zip(result.labels, counts, recalls, strict=True):
        table.add_row(_text(label), str(count), percent(recall))
    for label, count in result.not_covered.items():
        table.add_row(_text(label), str(count), "not covered")
    table.add_section()
    table.add_row("all: WAR", str(figures.clips), percent(figures.war), _interval(intervals.war))
    table.add_row("all: UAR", "", percent(figures.uar), _interval(intervals.uar))
    table.add_row("usable: WAR", str(figures.usable), percent(figures.war_usable))
    table.add_row("usable: UAR", "", percent(figures.uar_usable))
    console.print(table)
    if result.baseline:
        _print(line_to_beat(result.baseline))
    _print(f"intervals: bootstrap over {intervals.drawn}")
    _print_confusion(console, figures.confusion, result.labels)
    for note in _evaluation_notes(result):
        _print(note)
    compared = compared or {"this network": (figures.war, figures.uar)}
    print_published(result.dataset, compared, result.not_comparable)
    for column, groups in result.groups.items():
        name = column.replace("_", " ")
        if len(groups) <= MAX_GROUPS:
            hidden = result.not_comparable or column == "subject"
            _print_groups(console, name, groups, {} if hidden else by_scene(result.dataset))
        else:
            spread = groups["war"].quantile(0.25), groups["war"].median(), groups["war"].quantile(0.75)
            quartiles = ", ".join(map(percent, spread))
            _print(f"{len(groups)} {name}s: WAR quartiles {quartiles}; --json lists them all")


def print_baseline(result: "BaselineResult") -> None:
    """Print the results of `train baseline` as those of a network; with folds also their mean."""
    print_evaluation(result.pooled, result.compared)
    if result.folds:
        shown = [(FIGURE_NAMES[name], *map(percent, result.mean_and_sd(name))) for name in ("war", "uar")]
        means = ", ".join(f"{name} {mean} (sd {sd})" for name, mean, sd in shown)
        _print(f"mean of {len(result.folds)} folds: {means}")


def _print_confusion(console: Console, matrix: np.ndarray, labels: Sequence[str]) -> None:
    """Print counts (classes, classes). Columns have the numbers of the rows, because names would not fit."""
    if len(labels) > MAX_CLASSES:
        _print(f"confusion matrix of {len(labels)} classes: see --confusion FILE.png or --json")
        return
    _print("confusion matrix (rows: true class, columns: predicted class):")
    table = Table()
    for column in ("", *map(str, range(1, len(labels) + 1))):
        table.add_column(column, justify="right" if column else "left")
    for number, (label, row) in enumerate(zip(labels, matrix, strict=True), 1):
        table.add_row(f"{number} {_text(label)}", *(str(count) if count else "·" for count in row))
    console.print(table)


def _evaluation_notes(result: "Evaluation") -> list[str]:
    """How the clips were chosen, which of them the network was trained on, and how labels were matched."""
    notes = [f"evaluated on: {result.clips_description}"]
    who = "baseline" if result.epochs is None else "network"
    if result.views > 1:
        notes.append(f"mean of the probabilities of {result.views} views of each clip")
    if result.trained_on:
        count, first = f"{len(result.trained_on)} of {result.figures.clips}", result.trained_on[0]
        notes.append(f"warning: the {who} was trained on {count} of these clips, such as {first}")
    else:
        notes.append(f"the {who} was trained on none of these clips (judged by file content)")
    notes += result.notes
    if result.renamed:
        pairs = ", ".join(f"{label} → {own}" for label, own in result.renamed.items())
        notes.append(f"labels renamed to the network's: {pairs}")
    if result.not_covered:
        count = sum(result.not_covered.values())
        notes.append(f"not covered: {counted(count, 'clip')} of classes unknown to the network, in no figure")
    return notes


def print_published(dataset: str, ours: Mapping[str, tuple[float, float]], reason: str | None) -> None:
    """Print our results above the published ones; nothing if none are published for the dataset.

    ours: WAR and UAR, 0–1, by name
    reason: why they cannot be compared, printed instead of the table; None if they can
    """
    comparison = compare_with_published(dataset, ours)
    if comparison is None:
        return
    if reason:
        _print(f"not comparable with the published results on {dataset}: {reason}")
        return
    marks, notes = footnotes(split_remark(row.remark) for row in comparison.published)
    table = Table(title=f"published: {_text(comparison.title)}, %", title_justify="left")
    for column in ("method", "WAR", "UAR", "notes"):
        table.add_column(column, justify="right" if column in ("WAR", "UAR") else "left")
    for row in comparison.ours:
        table.add_row(row.method, _points(row.war), _points(row.uar), style="bold")
    table.add_section()
    for row, mark in zip(comparison.published, marks, strict=True):
        table.add_row(row.method, _points(row.war), _points(row.uar), mark)
    Console().print(table)
    for note in notes:
        _print(note)


def _print_groups(console: Console, name: str, groups: pl.DataFrame, known: Mapping[str, Figure]) -> None:
    """Print the results of each group. known: published ones by the group's name in lower case."""
    published = [known.get((value or "").lower()) for value in groups[groups.columns[0]]]
    marks, notes = footnotes(split_remark(figure.remark) if figure else [] for figure in published)
    extra = [f"published WAR ({PAPER})", "notes"] if any(published) else []
    table = Table()
    for column in (name, "clips", "usable", "WAR", "UAR", *extra):
        table.add_column(column, justify="left" if column in (name, "notes") else "right")
    for (value, clips, usable, war, uar), figure, mark in zip(
        groups.iter_rows(), published, marks, strict=True
    ):
        shown = "unknown" if value is None else _text(value)
        theirs = [percent(figure.war) if figure else "", mark] if extra else []
        table.add_row(shown, str(clips), str(usable), percent(war), percent(uar), *theirs)
    console.print(table)
    for note in notes:
        _print(note)
