"""What a person sees of a training or an evaluation on the terminal."""

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from train import metrics
from train.describe import Part

GROUPS_SHOWN = 30  # of scenes or subjects in a table on the terminal

if TYPE_CHECKING:
    from train.evaluate import Evaluation
    from train.logs import EpochRow
    from train.loop import Watch
    from train.splits import Split
    from train.training import Totals, Training


@contextmanager
def training_progress(console: Console, training: "Training") -> Iterator["Watch"]:
    """Who a run tells how it goes: a live line on a terminal, and a line for each epoch anywhere."""
    from train.loop import Watch

    epochs, clips = training.config.recipe.epochs, len(training.clips)
    columns = (
        TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(
            "loss {task.fields[loss]:.3f}, WAR {task.fields[war]:.1%}, {task.fields[speed]:.1f} clips/s, "
            "waiting for data {task.fields[waiting]:.0%}"
        ),
        TimeRemainingColumn(),
    )
    hidden = console.quiet or not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        nothing = {"loss": float("nan"), "war": float("nan"), "speed": 0.0, "waiting": 0.0}
        task = progress.add_task("", total=clips, epoch=training.epoch + 1, epochs=epochs, **nothing)

        def on_step(totals: "Totals") -> None:
            done = int(totals.matrix.sum())
            progress.update(
                task,
                completed=done,
                epoch=training.epoch + 1,
                loss=totals.mean_loss,
                war=metrics.war(totals.matrix),
                speed=totals.clips_per_second,
                waiting=totals.waiting_share,
            )

        def on_epoch(row: "EpochRow") -> None:
            console.print(
                f"epoch {row.epoch + 1}/{epochs}: loss {row.train_loss:.4f}, "
                f"training WAR {_percent(row.train_war)}, test WAR {_percent(row.test_war)} "
                f"UAR {_percent(row.test_uar)}, {row.seconds:.1f} s, {row.clips_per_second:.1f} clips/s, "
                f"waiting for data {row.waiting:.0%}",
                soft_wrap=True,
                highlight=False,
            )

        yield Watch(on_step=on_step, on_epoch=on_epoch)


def print_run(rows: Sequence["EpochRow"], split: "Split", out: Path) -> None:
    """The last epoch's figures and the best one's, each named as what it is."""
    from train.logs import best_row

    table = Table(title="network, judged on the test clips", title_justify="left")
    for column in ("", "epoch", "WAR", "UAR", "usable: WAR", "UAR"):
        table.add_column(column, justify="right" if column else "left")
    for name, row in (("last", rows[-1]), ("best test WAR", best_row(list(rows)))):
        figures = (row.test_war, row.test_uar, row.test_war_usable, row.test_uar_usable)
        table.add_row(name, str(row.epoch + 1), *map(_percent, figures))
    console = Console()
    console.print(table)
    console.print(f"test clips: {escape(split.description)}", soft_wrap=True)
    files = "metrics.csv, confusion.png, predictions.parquet, last.pt, best.pt"
    console.print(f"in {out}: {files}", soft_wrap=True)


def print_evaluation(result: "Evaluation") -> None:
    """Recall of each class, WAR and UAR with their intervals, over all clips and the usable ones, and by group."""
    console, figures, sure = Console(), result.figures, result.intervals
    table = Table(title=f"{result.clips} clips, network after {result.epochs} epochs", title_justify="left")
    for column in ("label", "clips", "recall", "95 % interval"):
        table.add_column(column, justify="left" if column == "label" else "right")
    counts, recalls = figures.confusion.sum(1), metrics.recalls(figures.confusion)
    for label, count, recall in zip(result.labels, counts, recalls, strict=True):
        table.add_row(escape(label), str(count), _percent(recall))
    table.add_section()
    table.add_row("all: WAR", str(figures.clips), _percent(figures.war), _interval(sure.war))
    table.add_row("all: UAR", "", _percent(figures.uar), _interval(sure.uar))
    table.add_row("usable: WAR", str(figures.usable), _percent(figures.war_usable))
    table.add_row("usable: UAR", "", _percent(figures.uar_usable))
    console.print(table)
    console.print(f"intervals: bootstrap over {sure.drawn}", soft_wrap=True)
    for name, groups in result.groups.items():
        if len(groups) <= GROUPS_SHOWN:
            _print_groups(console, name, groups)
        else:
            spread = groups["war"].quantile(0.25), groups["war"].median(), groups["war"].quantile(0.75)
            quartiles = ", ".join(map(_percent, spread))
            console.print(f"{len(groups)} {name}s: quartiles of WAR {quartiles}; each with --json")


def _print_groups(console: Console, name: str, groups: pl.DataFrame) -> None:
    table = Table()
    for column in (name, "clips", "usable", "WAR", "UAR"):
        table.add_column(column, justify="left" if column == name else "right")
    for value, clips, usable, war, uar in groups.iter_rows():
        shown = "not named" if value is None else escape(value)
        table.add_row(shown, str(clips), str(usable), _percent(war), _percent(uar))
    console.print(table)


def as_dict(result: "Evaluation") -> dict[str, Any]:
    """An evaluation for a program to read; shares in 0–1."""
    figures = result.figures
    recalls = metrics.recalls(figures.confusion)
    return {
        "epochs": result.epochs,
        "clips": figures.clips,
        "usable": figures.usable,
        "war": figures.war,
        "uar": figures.uar,
        "war_usable": figures.war_usable,
        "uar_usable": figures.uar_usable,
        "recall": {k: None if v != v else float(v) for k, v in zip(result.labels, recalls, strict=True)},
        "confusion": figures.confusion.tolist(),
        "intervals": {"level": 0.95, **dataclasses.asdict(result.intervals)},
        "groups": {name: groups.to_dicts() for name, groups in result.groups.items()},
        "predictions": dict(result.predictions.select("clip_id", "predicted").iter_rows()),
    }


def print_parts(parts: Sequence[Part]) -> None:
    """The network part by part."""
    table = Table()
    for column in ("part", "", "output for one clip", "parameters", "multiply-adds"):
        table.add_column(column, justify="right" if column in ("parameters", "multiply-adds") else "left")
    for part in parts:
        if part is parts[-1]:
            table.add_section()
        table.add_row(
            part.name, part.what, part.shape, f"{part.parameters:,}", f"{part.multiply_adds / 1e9:.3f} G"
        )
    Console().print(table)


def _interval(bounds: tuple[float, float]) -> str:
    return " – ".join(map(_percent, bounds))


def _percent(share: float) -> str:
    return "–" if share != share else f"{100 * share:.2f} %"
