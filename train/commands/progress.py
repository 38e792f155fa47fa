"""Console output while a run trains: notes, loaded weights, a live line, and a line per epoch."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from dfer.schemas.support.commands import printable
from dfer.schemas.support.cores import CoreWatch, waiting_advice
from dfer.train.engine.loop import Callbacks
from dfer.train.engine.training import Totals, Training
from dfer.train.engine.weights import Loaded
from dfer.train.results import metrics
from dfer.train.results.logs import EpochRow
from dfer.train.results.metrics import percent, points

SKIPPED_SHOWN = 8  # weights.json lists all
SLOW_DATA = 0.1  # share of the training time; from here on, reading data is what slows a run


@dataclass(frozen=True, kw_only=True)
class Notices:
    """What the runs of one command have printed so far, so that what applies to many is printed once.

    of_folds: whether the runs test all folds of the caches in turn
    """

    of_folds: bool = False
    said: set[str] = field(default_factory=set)

    def first(self, text: str) -> bool:
        """Whether a text comes for the first time."""
        known = text in self.said
        self.said.add(text)
        return not known


@contextmanager
def training_progress(console: Console, training: Training, notices: Notices) -> Iterator[Callbacks]:
    """Show a live line (on a terminal), print a line after each epoch, and once if other programs slow it down."""
    epochs, clips = training.config.recipe.epochs, len(training.clips)
    columns = (
        TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
        BarColumn(bar_width=8),  # all of it fits into 80 columns
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}"),
        TimeRemainingColumn(),
    )
    hidden = console.quiet or not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        start = {"epoch": training.epoch + 1, "epochs": epochs, "figures": "first step"}
        task = progress.add_task("", total=clips, **start)
        watch = CoreWatch()

        def on_step(totals: Totals) -> None:
            if training.device.type == "cpu":
                _print_if_slowed(console, watch.waiting(), notices)
            progress.update(
                task,
                completed=totals.clips,
                epoch=training.epoch + 1,
                figures=f"loss {totals.mean_loss:.3f}, WAR {percent(metrics.war(totals.matrix))}, "
                f"{totals.clips_per_second:.1f} clips/s",
            )

        def on_epoch(row: EpochRow) -> None:
            print_line(console, f"epoch {row.epoch + 1}/{epochs}: {_figures(row)}")

        yield Callbacks(on_step=on_step, on_epoch=on_epoch)


def _figures(row: EpochRow) -> str:
    """An epoch's figures, short enough for 80 columns; metrics.csv has all of them."""
    train, war, uar = (points(share, digits=1) for share in (row.train_war, row.test_war, row.test_uar))
    text = f"loss {row.train_loss:.3f}, train WAR {train}, test WAR {war} UAR {uar} %, {row.seconds:.0f} s"
    return text + f", waiting for data {row.waiting:.0%}" * (row.waiting >= SLOW_DATA)


def _print_if_slowed(console: Console, waiting: float | None, notices: Notices) -> None:
    """Print once what to do, if the training waits for cores. waiting: share of the time, None if not measured."""
    advice = waiting and waiting_advice(waiting, torch.get_num_threads(), os.environ)
    if advice and notices.first(advice):
        line = f"other programs use the cores, this run waits for one {waiting:.0%} of the time: {advice}"
        print_line(console, line)


def print_line(console: Console, text: str) -> None:
    """Print a line that may quote a file: unwrapped, without markup, control characters escaped."""
    console.print(printable(text), soft_wrap=True, markup=False, highlight=False)


def print_loaded(console: Console, loaded: Loaded, loaded_lr: float) -> None:
    """Print which weights were loaded and skipped, and which of the network's are initialised at random.

    loaded_lr: factor on the learning rate of those loaded
    """
    print_line(console, f"weights from {loaded.source}")
    table = Table()
    for column in ("", "tensors", "names"):
        table.add_column(column, justify="right" if column == "tensors" else "left")
    names = f"{_by_part(loaded.loaded)}: {loaded.num_params:,} parameters"
    if loaded.classes:
        names += f"; classifier rows of {', '.join(loaded.classes)}"
    table.add_row("loaded", str(len(loaded.loaded)), escape(names))
    reasons = [f"{name}: {reason}" for name, reason in loaded.skipped.items()]
    shown = "\n".join([*reasons[:SKIPPED_SHOWN], *(["…"] if len(reasons) > SKIPPED_SHOWN else [])])
    table.add_row("skipped", str(len(reasons)), escape(shown))
    table.add_row("missing, initialised as usual", str(len(loaded.missing)), escape(_by_part(loaded.missing)))
    console.print(table)
    if loaded_lr != 1:
        print_line(console, f"loaded weights learn at {loaded_lr:g} × the learning rate")


def _by_part(names: Sequence[str]) -> str:
    """Count tensors by part of the network: "backbone (100), graph (3)"."""
    counts = Counter(name.split(".")[0] for name in names)
    return ", ".join(f"{part} ({count})" for part, count in counts.items())
