"""A table of labels: number of clips, their statuses, and how often a face was found."""

from collections.abc import Sequence

import polars as pl

from dfer.schemas.cache import NO_FACE, OK, STATUSES
from dfer.schemas.html.markup import Html, join, tag, text

OF_FRAMES = ("frames with a face", "frames")  # columns that stills do not have
OPEN_UP_TO = 30  # labels; a longer table is collapsed at first
EXPLANATION = (
    "Face found: share of the decoded clips with a face in at least one sampled frame. Frames with a face: share of "
    "the usable clips' frames; in the other frames the box is carried over."
)
EXPLANATION_OF_STILLS = "Face found: share of the decoded stills with a face."


def count_labels(clips: pl.DataFrame, labels: Sequence[str]) -> pl.DataFrame:
    """Count clips, statuses, frames and frames_with_face of each label, sorted by label; null comes last.

    clips: a clips table
    labels: the labels in `cache.json`; those without clips get a row too
    """
    of_clips = clips.group_by("label").agg(
        pl.len().alias("clips"),
        *((pl.col("status") == status).sum().alias(status) for status in STATUSES),
        pl.col("frames", "frames_with_face").cast(pl.Int64).sum(),
    )
    known = set(of_clips["label"].to_list())
    absent = pl.Series("label", [label for label in dict.fromkeys(labels) if label not in known], pl.String)
    rows = pl.concat([of_clips, absent.to_frame()], how="diagonal")
    return rows.sort("label", nulls_last=True).with_columns(pl.exclude("label").fill_null(0))


def label_table(clips: pl.DataFrame, labels: Sequence[str], *, stills: bool) -> Html:
    """Show all labels and their total; a long table is collapsed below the total.

    clips, labels: as in `count_labels`
    stills: whether each clip has one frame: then nothing is said of frames
    """
    counts = count_labels(clips, labels)
    statuses = [status for status in STATUSES if status != OK and counts[status].sum()]
    heads = ["clips", "usable", "face found", *(() if stills else OF_FRAMES), *statuses]
    total = {"label": "all", **{name: counts[name].sum() for name in counts.columns if name != "label"}}
    all_row = _row(total, heads)
    rows = [_row(row, heads) for row in counts.iter_rows(named=True)]
    if len(rows) <= OPEN_UP_TO:
        shown = _table(heads, rows, all_row if len(rows) != 1 else None)
    else:
        each = tag("details", tag("summary", f"Each of the {len(rows)} labels"), _table(heads, rows, None))
        shown = join(_table(heads, [all_row], None), each)
    return join(shown, tag("p", EXPLANATION_OF_STILLS if stills else EXPLANATION))


def _table(heads: Sequence[str], rows: Sequence[Html], last: Html | None) -> Html:
    table = tag(
        "table",
        tag("thead", tag("tr", *(tag("th", head, scope="col") for head in ["label", *heads]))),
        tag("tbody", *rows),
        last and tag("tfoot", last),
    )
    # A very wide table scrolls sideways; focusable, so that a keyboard can scroll it too.
    return tag("div", table, class_="wide", tabindex=0, role="region", aria_label="Clips by label")


def _row(counts: dict, heads: Sequence[str]) -> Html:
    label = counts["label"]
    cells = {
        "clips": str(counts["clips"]),
        "usable": str(counts[OK]),
        "face found": _rate(counts[OK], counts[OK] + counts[NO_FACE]),
        "frames with a face": _rate(counts["frames_with_face"], counts["frames"]),
        "frames": str(counts["frames"]),
        **{status: str(counts[status]) for status in STATUSES},
    }
    return tag(
        "tr",
        tag("th", label if label is not None else tag("em", "no label"), scope="row"),
        *(tag("td", cells[name], data_name=name) for name in heads),
    )


def _rate(part: int, total: int) -> Html:
    """A share as text and as a bar."""
    if not total:
        return text("–")
    bar = tag("rect", width=f"{100 * part / total:.1f}", height="8")
    picture = tag(
        "svg", bar, viewBox="0 0 100 8", preserveAspectRatio="none", class_="rate", aria_hidden="true"
    )
    return join(f"{100 * part / total:.1f} % ", picture)
