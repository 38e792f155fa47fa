"""What a person sees while a run goes: what it starts from, a live line, a line an epoch."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from dfer.schemas.support.commands import printable
from dfer.train.engine.loop import Callbacks
from dfer.train.engine.training import Totals, Training
from dfer.train.engine.weights import Loaded
from dfer.train.results import metrics
from dfer.train.results.logs import EpochRow
from dfer.train.results.metrics import percent

SKIPPED_SHOWN = 8  # weights; weights.json has all


@contextmanager
def training_progress(console: Console, training: Training) -> Iterator[Callbacks]:
    """Who a run tells how it goes: a live line on a terminal, and a line for each epoch anywhere."""
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

        def on_step(totals: Totals) -> None:
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

        def on_epoch(row: EpochRow) -> None:
            console.print(
                f"epoch {row.epoch + 1}/{epochs}: loss {row.train_loss:.4f}, "
                f"training WAR {percent(row.train_war)}, test WAR {percent(row.test_war)} "
                f"UAR {percent(row.test_uar)}, {row.seconds:.1f} s, {row.clips_per_second:.1f} clips/s, "
                f"waiting for data {row.waiting:.0%}",
                soft_wrap=True,
                highlight=False,
            )

        yield Callbacks(on_step=on_step, on_epoch=on_epoch)


def print_notes(console: Console, notes: Sequence[str]) -> None:
    """What is to be known of caches and split before a run, a line each."""
    for note in notes:
        console.print(printable(note), soft_wrap=True, markup=False, highlight=False)


def print_loaded(console: Console, loaded: Loaded | None) -> None:
    """What was taken of the weights that a run starts from, what was not, and what starts afresh."""
    if not loaded:
        return
    table = Table(title=f"weights from {escape(loaded.source)}", title_justify="left")
    for column in ("", "tensors", "which"):
        table.add_column(column, justify="right" if column == "tensors" else "left")
    reasons = [f"{name}: {reason}" for name, reason in loaded.skipped.items()]
    which = f"{_by_part(loaded.loaded)}: {loaded.num_params:,} numbers"
    if loaded.classes:
        which += f"; rows of the classifiers for {', '.join(loaded.classes)}"
    table.add_row("loaded", str(len(loaded.loaded)), escape(which))
    shown = "\n".join([*reasons[:SKIPPED_SHOWN], *(["…"] if len(reasons) > SKIPPED_SHOWN else [])])
    table.add_row("skipped", str(len(reasons)), escape(shown))
    table.add_row("missing, start afresh", str(len(loaded.missing)), escape(_by_part(loaded.missing)))
    console.print(table)


def _by_part(names: Sequence[str]) -> str:
    """How many weights of each of the network's parts, in words."""
    counts = Counter(name.split(".")[0] for name in names)
    return ", ".join(f"{part} ({count})" for part, count in counts.items())
