"""What a person looks at after an extraction."""

from collections.abc import Iterable
from typing import Any

import polars as pl
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dfer.schemas.cache import OK, STATUSES
from dfer.schemas.support.commands import printable

LISTED = 10  # unusable clips named on the screen; all of them are in the clips table


def summarise(clips: pl.DataFrame) -> dict[str, Any]:
    """Counts of a clips table: clips by status, kept frames, frames with a face."""
    by_status = dict(clips["status"].value_counts().iter_rows())
    return {
        "clips": len(clips),
        **{status: by_status.get(status, 0) for status in STATUSES},
        "frames": int(clips["frames"].sum()),
        "frames_with_face": int(clips["frames_with_face"].sum()),
    }


def print_summary(clips: pl.DataFrame, console: Console) -> None:
    """A table of statuses per label, and the unusable clips with their reasons."""
    table = Table(title="clips by label and status", title_justify="left")
    shown = [status for status in STATUSES if status == OK or (clips["status"] == status).any()]
    for column in ("label", *shown, "frames", "with a face"):
        table.add_column(column, justify="left" if column == "label" else "right")
    labels = clips["label"].unique().sort(nulls_last=True)
    for label in labels:
        of_label = clips.filter(pl.col("label").eq_missing(pl.lit(label, pl.String)))
        table.add_row(
            *_cells(escape(printable(label)) if label is not None else "(no label)", of_label, shown)
        )
    if len(labels) > 1:
        table.add_section()
        table.add_row(*_cells("all", clips, shown))
    console.print(table)
    unusable = clips.filter(pl.col("status") != OK)
    for path, status, reason in unusable.select("path", "status", "reason").head(LISTED).iter_rows():
        line = printable(f"{path}: {status}: {reason or ''}")
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    if len(unusable) > LISTED:
        console.print(f"… and {len(unusable) - LISTED} more, all in clips.parquet")


def _cells(name: str, clips: pl.DataFrame, shown: Iterable[str]) -> list[str]:
    counts = summarise(clips)
    share = f"{100 * counts['frames_with_face'] / counts['frames']:.1f} %" if counts["frames"] else "–"
    return [name, *(f"{counts[status]}" for status in shown), f"{counts['frames']}", share]
