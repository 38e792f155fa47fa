"""What a terminal shows of predictions: progress, a table, JSON."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from dfer.schemas.support.commands import printable
from dfer.schemas.support.text import counted
from dfer.train.report.cells import plain, print_line
from dfer.train.use.extraction import Watch
from dfer.train.use.prediction import Prediction

SHOWN = 0.01  # the lowest probability that is listed


@contextmanager
def prediction_progress(first: str = "loading") -> Iterator[Watch]:
    """Print notes to stderr, and show a progress bar there if that is a terminal. first: what is done first"""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}{task.fields[unusable]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task, bad = progress.add_task(first, total=None, unit="", unusable=""), 0

        def on_clips(doing: str, clips: int) -> None:
            nonlocal task, bad
            bad = 0
            unit = "" if " " in doing else "clips"  # "drawing frames" names its own
            progress.remove_task(task)
            task = progress.add_task(doing, total=clips or None, unit=unit, unusable="")

        def on_done(clips: int, unusable: int) -> None:
            nonlocal bad
            bad += unusable
            progress.update(task, advance=clips, unusable=f", {bad} unusable" if bad else "")

        yield Watch(on_note=lambda line: note(line, console), on_clips=on_clips, on_done=on_done)


def note(line: str, console: Console | None = None) -> None:
    """Print a note as a line of its own to stderr.

    console: of the progress bar that is shown there: only this one moves the bar out of the way
    """
    console = console or Console(stderr=True)
    console.print(Text(printable(line)), soft_wrap=True)


def print_predictions(
    predictions: Sequence[Prediction], windowed: bool = False, several: bool = False
) -> None:
    """Print a row for each clip or window: its class, and the probabilities in percent; or why it has none.

    several: whether several people were asked for, so that each row says whose it is, even if only one was found
    """
    names = _names(predictions)
    labelled = any(each.label is not None for each in predictions)
    several = several or any(each.person > 1 for each in predictions)
    table = Table()
    table.add_column("clip", overflow="fold")
    if several:
        table.add_column("person", justify="right")
    if windowed:
        table.add_column("seconds", no_wrap=True)
    if labelled:
        table.add_column("label", overflow="fold")
    table.add_column("predicted", overflow="fold")
    table.add_column("probabilities, %", overflow="fold")
    before = None
    for each, name in zip(predictions, names, strict=True):
        again = (each.source, each.person) == before  # both are shown once for all windows
        if windowed and before and not again:
            table.add_section()
        own = ["" if again else plain(name)]
        own += ["" if again else str(each.person)] if several else []
        own += [_place(each)] if windowed else []
        own += [plain(each.label or "")] if labelled else []
        if each.probabilities:
            table.add_row(*own, plain(each.predicted), _shares(each))
        else:
            table.add_row(*own, "–", plain(f"{each.status}: {each.reason}"))
        before = (each.source, each.person)
    Console().print(table)
    without = sum(each.probabilities is None for each in predictions)
    if without:
        row = "window" if windowed else "row" if several else "clip"
        print_line(f"no answer for {without} of {counted(len(predictions), row)}")


def _names(predictions: Sequence[Prediction]) -> list[str]:
    """What to call each clip: its id, with the cache where another clip has the same."""
    sources: dict[str, set] = {}
    for each in predictions:
        sources.setdefault(each.clip, set()).add(each.source)
    return [
        f"{each.cache}: {each.clip}" if each.cache and len(sources[each.clip]) > 1 else each.clip
        for each in predictions
    ]


def _place(prediction: Prediction) -> str:
    """When a window starts and ends."""
    if prediction.start_s is None:
        return "–"
    return f"{prediction.start_s:.2f} – {prediction.end_s:.2f}"


def _shares(prediction: Prediction) -> str:
    """The probabilities in percent, the largest first, without those that would round to nothing."""
    ordered = sorted(prediction.probabilities.items(), key=lambda pair: -pair[1])
    return " ".join(f"{plain(label)}:{100 * share:.0f}" for label, share in ordered if share >= SHOWN)


def as_json(run: str, labels: Sequence[str], predictions: Sequence[Prediction]) -> dict[str, Any]:
    """Predictions for JSON; null where there is no answer, seconds where a clip has times."""
    return {"run": run, "labels": list(labels), "clips": [_clip_json(each) for each in predictions]}


def _clip_json(each: Prediction) -> dict[str, Any]:
    fields = {name: value for name, value in vars(each).items() if name not in ("times", "face")}
    return fields | {name: fields[name] and str(fields[name]) for name in ("path", "cache")}
