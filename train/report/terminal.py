"""What a person sees of a training or an evaluation on the terminal."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dfer.data_manifest.published import PAPER, by_scene
from dfer.schemas.support.commands import printable
from dfer.schemas.support.text import counted
from dfer.train.results import metrics
from dfer.train.results.comparison import as_json, side_by_side
from dfer.train.results.metrics import percent

GROUPS_SHOWN = 30  # of scenes or subjects in a table on the terminal
CLASSES_SHOWN = 20  # of a confusion matrix on the terminal

if TYPE_CHECKING:
    from dfer.train.commands.crossval import CrossValidation
    from dfer.train.commands.run import Trained
    from dfer.train.commands.sweep import Sweep, Swept
    from dfer.train.results.figures import Evaluation


def print_run(trained: "Trained", out: Path) -> None:
    """The last epoch's figures and the best one's, each named as what it is."""
    from dfer.train.results.logs import best_row

    console, rows = Console(), trained.rows
    if trained.already:
        console.print(
            f"nothing to do: {_text(str(out))} holds all of this run ({counted(len(rows), 'epoch')})",
            soft_wrap=True,
        )
        return
    which = "the clips it was trained on" if trained.split.seen else "the test clips"
    table = Table(title=f"network, judged on {which}", title_justify="left")
    for column in ("", "epoch", "WAR", "UAR", "usable WAR", "usable UAR"):
        table.add_column(column, justify="right" if column else "left")
    for name, row in (("last", rows[-1]), ("best test WAR", best_row(rows))):
        figures = (row.test_war, row.test_uar, row.test_war_usable, row.test_uar_usable)
        table.add_row(name, str(row.epoch + 1), *map(percent, figures))
    console.print(table)
    console.print(f"test clips: {_text(trained.split.description)}", soft_wrap=True)
    for note in trained.split.notes:
        console.print(printable(note), soft_wrap=True, markup=False, highlight=False)
    files = "metrics.csv, confusion.png, predictions.parquet, last.pt, best.pt"
    console.print(f"in {_text(str(out))}: {files}", soft_wrap=True)


def print_crossval(result: "CrossValidation", out: Path) -> None:
    """A row for each fold, their mean and deviation, and all clips pooled: the last epoch and each fold's best."""
    unusable = result.pooled_last.usable < result.pooled_last.clips
    figures = ("war", "uar", "war_usable", "uar_usable") if unusable else ("war", "uar")
    names = {"war": "WAR", "uar": "UAR", "war_usable": "usable WAR", "uar_usable": "usable UAR"}
    table = Table(title=f"{counted(len(result.folds), 'fold')}, %", title_justify="left")
    asked = [*(("last", figure) for figure in figures), ("best", "war"), ("best", "uar")]
    for column in ("fold", "clips", *(f"{which} {names[figure]}" for which, figure in asked), "at epoch"):
        table.add_column(column, justify="left" if column == "fold" else "right")
    for fold in result.folds:
        values = [_points(getattr(getattr(fold, which), figure)) for which, figure in asked]
        table.add_row(str(fold.number), str(fold.last.clips), *values, str(fold.best_epoch + 1))
    table.add_section()
    spread = [result.mean(which, figure) for which, figure in asked]
    for name, values in zip(("mean", "sd"), zip(*spread, strict=True), strict=True):
        table.add_row(name, "", *map(_points, values))
    pooled = {"last": result.pooled_last, "best": result.pooled_best}
    values = [_points(getattr(pooled[which], figure)) for which, figure in asked]
    table.add_row("pooled", str(result.pooled_last.clips), *values)
    console = Console()
    console.print(table)
    console.print(
        "best: of the epoch with the highest WAR on the judged clips, as most papers report; sd: standard deviation",
        soft_wrap=True,
    )
    files = "crossval.csv, confusion.png, predictions.parquet, predictions_best.parquet, a run for each fold"
    console.print(f"in {_text(str(out))}: {files}", soft_wrap=True)
    means = {
        which: tuple(result.mean(which, figure)[0] for figure in ("war", "uar")) for which in ("last", "best")
    }
    pooled = {f"pooled, {which}": (value.war, value.uar) for which, value in pooled.items()}
    ours = {**{f"ours, {which} epoch": means[which] for which in means}, **pooled}
    print_published(result.dataset, ours, result.incomparable)


def print_sweep(sweep: "Sweep", swept: "Swept", out: Path) -> None:
    """A row for each variant, ours beside the published WAR, and whether they can be compared."""
    datasets = swept.datasets
    table = Table(title=f"{_text(sweep.title)}, %", title_justify="left")
    explained = any(row.variant.what for row in swept.rows)
    for column in (sweep.axis, "") if explained else (sweep.axis,):
        table.add_column(_text(column))
    ours = ("last WAR", "last UAR", "best WAR", "best UAR")
    for column in (*ours, *(f"published {dataset}" for dataset in datasets)):
        table.add_column(_text(column).replace(" ", "\n", 1), justify="right")
    for row in swept.rows:
        named = (row.variant.name, row.variant.what) if explained else (row.variant.name,)
        figures = (row.war, row.uar, row.best_war, row.best_uar)
        published = (row.published.get(dataset, float("nan")) for dataset in datasets)
        table.add_row(*map(_text, named), *map(_points, (*figures, *published)))
    console = Console()
    console.print(table)
    console.print("best: of the epoch with the highest WAR on the judged clips", soft_wrap=True)
    if datasets:
        reason = f"; not comparable with ours: {swept.incomparable}" if swept.incomparable else ""
        text = f"published: WAR of {PAPER}{reason}"
        console.print(printable(text), soft_wrap=True, markup=False)
    console.print(f"in {_text(str(out))}: sweep.csv, sweep.png, a folder for each variant", soft_wrap=True)


def print_evaluation(result: "Evaluation") -> None:
    """Recall of each class, WAR and UAR with their intervals, over all clips and the usable ones, and by group."""
    console, figures, sure = Console(), result.figures, result.intervals
    table = Table(
        title=f"{result.clips} clips, network after {counted(result.epochs, 'epoch')}", title_justify="left"
    )
    for column in ("label", "clips", "recall", "95 % interval"):
        table.add_column(column, justify="left" if column == "label" else "right")
    counts, recalls = figures.confusion.sum(1), metrics.recalls(figures.confusion)
    for label, count, recall in zip(result.labels, counts, recalls, strict=True):
        table.add_row(_text(label), str(count), percent(recall))
    for label, count in result.not_covered.items():
        table.add_row(_text(label), str(count), "not covered")
    table.add_section()
    table.add_row("all: WAR", str(figures.clips), percent(figures.war), _interval(sure.war))
    table.add_row("all: UAR", "", percent(figures.uar), _interval(sure.uar))
    table.add_row("usable: WAR", str(figures.usable), percent(figures.war_usable))
    table.add_row("usable: UAR", "", percent(figures.uar_usable))
    console.print(table)
    console.print(f"intervals: bootstrap over {sure.drawn}", soft_wrap=True)
    _print_confusion(console, figures.confusion, result.labels)
    for note in (*_about_clips(result), *_about_labels(result)):
        console.print(printable(note), soft_wrap=True, markup=False)
    print_published(result.dataset, {"this network": (figures.war, figures.uar)}, result.incomparable)
    for column, groups in result.groups.items():
        name = column.replace("_", " ")
        if len(groups) <= GROUPS_SHOWN:
            known = {} if result.incomparable or column == "subject" else by_scene(result.dataset)
            _print_groups(console, name, groups, {scene: figure.war for scene, figure in known.items()})
        else:
            spread = groups["war"].quantile(0.25), groups["war"].median(), groups["war"].quantile(0.75)
            quartiles = ", ".join(map(percent, spread))
            console.print(f"{len(groups)} {name}s: quartiles of WAR {quartiles}; each with --json")


def _print_confusion(console: Console, matrix: np.ndarray, labels: Sequence[str]) -> None:
    """Counts (classes, classes) of all clips. Columns are numbered as the rows are: names would not fit."""
    if len(labels) > CLASSES_SHOWN:
        console.print(f"confusion of {len(labels)} classes: with --confusion FILE.png, or --json")
        return
    console.print("confusion, rows the truth and columns the prediction:", soft_wrap=True)
    table = Table()
    for column in ("", *map(str, range(1, len(labels) + 1))):
        table.add_column(column, justify="right" if column else "left")
    for number, (label, row) in enumerate(zip(labels, matrix, strict=True), 1):
        table.add_row(f"{number} {_text(label)}", *(str(count) if count else "·" for count in row))
    console.print(table)


def _about_clips(result: "Evaluation") -> list[str]:
    """How the judged clips were chosen, and which of them say nothing about new ones."""
    notes = [f"judged on: {result.judged_on}"]
    if result.trained_on:
        count, first = f"{len(result.trained_on)} of {result.figures.clips}", result.trained_on[0]
        notes.append(f"warning: judged clips that the network was trained on: {count}, such as {first}")
    return notes


def _about_labels(result: "Evaluation") -> list[str]:
    """How the dataset's labels became the network's, a line each."""
    notes = [*result.notes]
    if result.renamed:
        pairs = ", ".join(f"{label} → {own}" for label, own in result.renamed.items())
        notes.append(f"labels by the network's names: {pairs}")
    if result.not_covered:
        count = sum(result.not_covered.values())
        notes.append(
            f"not covered: {count} clips of classes that the network lacks are in none of these figures"
        )
    return notes


def print_published(dataset: str, ours: Mapping[str, tuple[float, float]], incomparable: str | None) -> None:
    """Our WAR and UAR, by what they are, above those published for the dataset, or why they cannot stand there;
    nothing where none are published."""
    beside = side_by_side(dataset, ours)
    if beside is None:
        return
    if incomparable:
        text = f"not comparable with what is published for {dataset}: {incomparable}"
        Console().print(printable(text), soft_wrap=True, markup=False)
        return
    title, own, theirs = beside
    table = Table(title=f"{_text(title)}, %", title_justify="left")
    for column in ("method", "WAR", "UAR", ""):
        table.add_column(column, justify="right" if column in ("WAR", "UAR") else "left")
    for rows, style in ((own, "bold"), (theirs, None)):
        for row in rows:
            table.add_row(row.method, _points(row.war), _points(row.uar), row.remark, style=style)
        table.add_section()
    Console().print(table)


def _print_groups(console: Console, name: str, groups: pl.DataFrame, known: Mapping[str, float]) -> None:
    """known: published WAR by the values' names in lower case."""
    published = [known.get((value or "").lower()) for value in groups[groups.columns[0]]]
    last = [f"published WAR ({PAPER})"] if any(published) else []
    table = Table()
    for column in (name, "clips", "usable", "WAR", "UAR", *last):
        table.add_column(column, justify="left" if column == name else "right")
    for (value, clips, usable, war, uar), share in zip(groups.iter_rows(), published, strict=True):
        shown = "not named" if value is None else _text(value)
        theirs = [percent(share) if share else ""] if last else []
        table.add_row(shown, str(clips), str(usable), percent(war), percent(uar), *theirs)
    console.print(table)


def as_dict(result: "Evaluation") -> dict[str, Any]:
    """An evaluation for a program to read; shares in 0–1."""
    figures = result.figures
    recalls = metrics.recalls(figures.confusion)
    return {
        "epochs": result.epochs,
        "clips": figures.clips,
        "usable": figures.usable,
        **{name: _known(getattr(figures, name)) for name in ("war", "uar", "war_usable", "uar_usable")},
        "recall": {label: _known(recall) for label, recall in zip(result.labels, recalls, strict=True)},
        "confusion": figures.confusion.tolist(),
        "intervals": {"level": 0.95, **dataclasses.asdict(result.intervals)},
        "renamed": dict(result.renamed),
        "not_covered": dict(result.not_covered),
        **as_json(result.dataset, result.incomparable),
        "judged_on": result.judged_on,
        "trained_on": list(result.trained_on),
        "groups": {name: groups.to_dicts() for name, groups in result.groups.items()},
        "predictions": dict(result.predictions.select("clip_id", "predicted").iter_rows()),
    }


def _known(share: float) -> float | None:
    """A figure in JSON, which has no sign for what is none."""
    return None if share != share else float(share)


def _points(share: float) -> str:
    return "–" if share != share else f"{100 * share:.2f}"


def _interval(bounds: tuple[float, float]) -> str:
    return " – ".join(map(percent, bounds))


def _text(value: str) -> str:
    """A stranger's words on the terminal: neither markup nor what steers it."""
    return escape(printable(value))
