"""What a terminal shows of predictions: progress, a table, JSON."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from dfer.schemas.support.commands import printable
from dfer.schemas.support.text import counted
from dfer.train.report.cells import plain, print_line
from dfer.train.use.extraction import Watch
from dfer.train.use.predict import Prediction

SHOWN = 0.01  # the lowest probability that is listed


@contextmanager
def prediction_progress() -> Iterator[Watch]:
    """Print notes to stderr, and show a progress bar there if that is a terminal."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("clips{task.fields[unusable]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task, bad = progress.add_task("loading", total=None, unusable=""), 0

        def on_clips(doing: str, clips: int) -> None:
            nonlocal bad
            bad = 0
            progress.reset(task, total=clips, description=doing, unusable="")

        def on_done(clips: int, unusable: int) -> None:
            nonlocal bad
            bad += unusable
            progress.update(task, advance=clips, unusable=f", {bad} unusable" if bad else "")

        yield Watch(on_note=_note, on_clips=on_clips, on_done=on_done)


def _note(line: str) -> None:
    click.echo(printable(line), err=True)


def print_predictions(predictions: Sequence[Prediction]) -> None:
    """Print a row for each clip: its class, and the probabilities in percent; or why it has none."""
    labelled = any(each.label is not None for each in predictions)
    table = Table()
    table.add_column("clip", overflow="fold")
    if labelled:
        table.add_column("label", overflow="fold")
    table.add_column("predicted", overflow="fold")
    table.add_column("probabilities, %", overflow="fold")
    for each in predictions:
        own = [plain(each.label or "")] if labelled else []
        if each.probabilities:
            table.add_row(plain(each.clip), *own, plain(each.predicted), _shares(each))
        else:
            table.add_row(plain(each.clip), *own, "–", plain(f"{each.status}: {each.reason}"))
    Console().print(table)
    without = sum(each.probabilities is None for each in predictions)
    if without:
        print_line(f"no answer for {without} of {counted(len(predictions), 'clip')}")


def _shares(prediction: Prediction) -> str:
    """The probabilities in percent, the largest first, without those that would round to nothing."""
    ordered = sorted(prediction.probabilities.items(), key=lambda pair: -pair[1])
    return " ".join(f"{plain(label)}:{100 * share:.0f}" for label, share in ordered if share >= SHOWN)


def as_json(run: str, labels: Sequence[str], predictions: Sequence[Prediction]) -> dict[str, Any]:
    """Predictions for JSON; null where there is no answer, seconds where a clip has times."""
    return {"run": run, "labels": list(labels), "clips": [_clip_json(each) for each in predictions]}


def _clip_json(each: Prediction) -> dict[str, Any]:
    times = each.times or (None,)
    fields = {name: value for name, value in vars(each).items() if name != "times"}
    return {**fields, "path": each.path and str(each.path), "start_s": times[0], "end_s": times[-1]}
