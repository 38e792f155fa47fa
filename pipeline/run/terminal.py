"""What a terminal shows of an extraction: problems of the dataset, a progress bar, the outcome."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import polars as pl
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from dfer.data_manifest.datasets import Manifest
from dfer.pipeline.cache.counts import are_stills, count_clips, own_rows
from dfer.pipeline.config import SCENE, ExtractConfig
from dfer.pipeline.run.extract import Outcome
from dfer.pipeline.video.sources import LASTING, NO_IMAGES
from dfer.schemas.cache import NO_FACE, OK, QUARANTINED, STATUSES, UNDECODABLE
from dfer.schemas.read_cache import read_cache_info
from dfer.schemas.support.commands import printable
from dfer.schemas.support.text import command, counted

LISTED = 10  # unusable clips shown on the screen; the clips table has them all


def problem_lines(manifest: Manifest, config: ExtractConfig) -> list[str]:
    """What is wrong with the dataset's files, and whether its clips are face crops already, for a person."""
    lines = [problem.line for problem in manifest.problems]
    if manifest.face_crops and config.input == SCENE:
        lines.append("its frame folders are face crops; use --input face")
    return [f"{manifest.dataset}: {line}" for line in lines]


def print_problems(manifest: Manifest, config: ExtractConfig) -> None:
    """Print `problem_lines` to stderr."""
    for line in problem_lines(manifest, config):
        click.echo(printable(line), err=True)


@contextmanager
def clip_progress() -> Iterator[tuple[Callable[[int], None], Callable[[int, int], None]]]:
    """Show a progress bar on stderr if that is a terminal, once there are clips to extract.

    Yields the `on_start` and `on_done` of `extract`.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn("extracting"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("clips{task.fields[unusable]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("clips", total=None, visible=False, unusable="")
        total = 0

        def on_start(clips: int) -> None:
            progress.update(task, total=clips, visible=clips > 0)

        def on_done(clips: int, unusable: int) -> None:
            nonlocal total
            total += unusable
            progress.update(task, advance=clips, unusable=f", {total} unusable" if total else "")

        yield on_start, on_done


def print_outcome(outcome: Outcome, cache: Path, as_json: bool) -> None:
    """Print the result of an extraction or of `finalize`."""
    counts = {} if outcome.clips is None else count_clips(outcome.clips)
    if as_json:
        done = {"cache": str(cache), "extracted": outcome.extracted, "reused": outcome.reused}
        click.echo(json.dumps({**done, **counts}, indent=2))
        return
    if outcome.clips is None:
        extracted = counted(outcome.extracted, "clip")
        click.echo(f"slice done, {extracted} extracted; after the last slice run: pipeline finalize {cache}")
        return
    usable = f"{counts[OK]} of {counted(counts['clips'], 'clip')} usable"
    if not outcome.extracted:
        done = "tables updated, no clip extracted" if outcome.updated else "nothing to do"
        click.echo(f"{done}: {cache}, {usable}")
    else:
        print_clips(own_rows(outcome.clips), Console())
        if "people" in counts:
            click.echo(f"people followed: {counts['people']}")
        if outcome.reused:
            click.echo(
                f"landmarks reused for {outcome.reused} of {counted(outcome.extracted, 'extracted clip')}"
            )
        click.echo(f"{cache}: {usable}, dataset {read_cache_info(cache).dataset}")
    for line in _retry_advice(outcome.clips):
        click.echo(line)
    warned = outcome.clips["source_warning"].count()
    if warned:
        click.echo(f"{counted(warned, 'clip')} with a warning; the report lists them")
    others = outcome.clips["source_warning"].str.contains("show another person").sum()
    if others:
        click.echo(f"{counted(others, 'clip')} of these with another person too; --people all follows each")
    if counts[OK]:
        click.echo(
            f"next: look at it with {command('pipeline', 'report', cache)}{_training(outcome.clips, cache)}"
        )


def print_unusable(clips: pl.DataFrame) -> None:
    """Print to stderr why --strict fails: how many clips are unusable, the first of them and its reason."""
    clips = own_rows(clips)
    unusable = clips.filter(pl.col("status") != OK)
    path, status, reason = unusable.select("path", "status", "reason").row(0)
    more = f" (and {len(unusable) - 1} more)" if len(unusable) > 1 else ""
    count = f"{len(unusable)} of {counted(len(clips), 'clip')} unusable"
    click.echo(printable(f"pipeline: --strict: {count}: {path}: {status}: {reason or ''}{more}"), err=True)


def _training(clips: pl.DataFrame, cache: Path) -> str:
    """What comes after the look at the cache."""
    if clips["label"].is_null().all():
        return "; to train, give every clip a label: a folder for each class, or a table"
    flags = ["--preset", "pretrain"] if are_stills(clips) else []
    if flags and clips["votes"].count():
        flags.append("--soft-labels")
    return f", then {command('train', 'run', cache, *flags, '--out')} RUN"


def _retry_advice(clips: pl.DataFrame) -> Iterator[str]:
    """Say for how many clips --retry may help, if any."""
    lasting = pl.any_horizontal(pl.col("reason").fill_null("").str.starts_with(text) for text in LASTING)
    empty = clips.filter(status=UNDECODABLE, reason=NO_IMAGES)
    others = clips.filter(~lasting, pl.col("reason").ne_missing(NO_IMAGES))
    numbers = {status: len(others.filter(status=status)) for status in (QUARANTINED, UNDECODABLE)}
    named = [counted(number, f"{status} clip") for status, number in numbers.items() if number]
    if named:
        yield f"{' and '.join(named)}; to try again: the same command with --retry"
    if len(empty):
        yield (
            f"{counted(len(empty), 'frame folder')} without images; once there are some: the same command with "
            "--retry"
        )


def print_clips(clips: pl.DataFrame, console: Console) -> None:
    """Print a table of statuses per label, and the unusable clips with their reasons."""
    table = Table(title="clips by label and status", title_justify="left")
    shown = [status for status in STATUSES if status == OK or (clips["status"] == status).any()]
    stills = are_stills(clips)
    for column in ("label", *shown, *(["face found"] if stills else ["frames", "with a face"])):
        table.add_column(column, justify="left" if column == "label" else "right")
    labels = clips["label"].unique().sort(nulls_last=True)
    for label in labels:
        of_label = clips.filter(pl.col("label").eq_missing(pl.lit(label, pl.String)))
        name = escape(printable(label)) if label is not None else "(no label)"
        table.add_row(name, *_cells(of_label, shown, stills))
    if len(labels) > 1:
        table.add_section()
        table.add_row("all", *_cells(clips, shown, stills))
    console.print(table)
    unusable = clips.filter(pl.col("status") != OK)
    for path, status, reason in unusable.select("path", "status", "reason").head(LISTED).iter_rows():
        line = printable(f"{path}: {status}: {reason or ''}")
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    if len(unusable) > LISTED:
        console.print(f"… and {len(unusable) - LISTED} more, all in clips.parquet")


def _cells(clips: pl.DataFrame, shown: Iterable[str], stills: bool) -> list[str]:
    """The row of some clips: their statuses, then the share of stills, or number and share of frames, with a face."""
    counts = count_clips(clips)
    statuses = [f"{counts[status]}" for status in shown]
    if stills:
        return [*statuses, _share(counts[OK], counts[OK] + counts[NO_FACE])]
    return [*statuses, f"{counts['frames']}", _share(counts["frames_with_face"], counts["frames"])]


def _share(part: int, total: int) -> str:
    return f"{100 * part / total:.1f} %" if total else "–"
