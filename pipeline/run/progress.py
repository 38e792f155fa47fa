"""The progress bar of an extraction: on stderr, and only where that is a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def clip_progress() -> Iterator[tuple[Callable[[int], None], Callable[[int, int], None]]]:
    """Two callbacks that move the bar: how many clips there are; how many are done, and unusable among them."""
    console = Console(stderr=True)
    columns = (
        TextColumn("extracting"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("clips, {task.fields[unusable]} unusable"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("clips", total=None, unusable=0)
        unusable = 0

        def on_start(clips: int) -> None:
            progress.update(task, total=clips)

        def on_clip(clips: int, bad: int) -> None:
            nonlocal unusable
            unusable += bad
            progress.update(task, advance=clips, unusable=unusable)

        yield on_start, on_clip
