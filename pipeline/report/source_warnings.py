"""Clips whose source is odd though it could be read: cut off, contradicting itself, showing somebody else too.

Warnings hold numbers of their clip ("the header says 90 frames, 75 are there"), so clips are grouped by what is said
whatever the numbers; each clip that is named has its own beside it.
"""

from dataclasses import dataclass

import polars as pl

from dfer.schemas.cache import OK
from dfer.schemas.html.markup import Html, join, tag
from dfer.schemas.support.text import counted

GROUPS_SHOWN = 20  # warnings that are rarer share a group: a stranger's may all differ
CLIPS_SHOWN = 5  # of a group
EXPLANATION = (
    "These clips could be read, and most are usable; look at some of them before you trust a group. A “…” stands "
    "for a number. The column source_warning of clips.parquet holds all of them."
)


@dataclass(frozen=True, kw_only=True)
class WarningGroup:
    """Clips of which the same is said. said is None for the group of rarer warnings; count: of its clips;
    first: the first few of them, clip_id, label, status, source_warning."""

    said: str | None
    count: int
    first: pl.DataFrame


def group_by_warning(clips: pl.DataFrame) -> list[WarningGroup]:
    """The clips of a clips table that have a source_warning, the commonest warning first, each clip once."""
    warned = clips.filter(pl.col("source_warning").is_not_null()).select(
        "clip_id",
        "label",
        "status",
        "source_warning",
        said=pl.col("source_warning").str.replace_all(r"\d+", "…"),
    )
    counts = warned["said"].value_counts(sort=False).sort(["count", "said"], descending=[True, False])
    named = counts["said"].head(GROUPS_SHOWN)
    groups = [_group(said, warned.filter(pl.col("said") == said)) for said in named]
    rest = warned.filter(~pl.col("said").is_in(named.implode()))
    return [*groups, *([_group(None, rest)] if len(rest) else [])]


def warning_list(clips: pl.DataFrame) -> Html:
    """A closed <details> per warning, with how many clips it is said of and the first few of them."""
    groups = group_by_warning(clips)
    if not groups:
        return tag("p", "None: no clip's source has one." if len(clips) else "None: there are no clips.")
    return join(tag("p", EXPLANATION), *map(_details, groups))


def _group(said: str | None, members: pl.DataFrame) -> WarningGroup:
    return WarningGroup(said=said, count=len(members), first=members.head(CLIPS_SHOWN).drop("said"))


def _details(group: WarningGroup) -> Html:
    items = [
        _item(*row, own=warning if warning != group.said else None)
        for *row, warning in group.first.iter_rows()
    ]
    if group.count > len(items):
        items.append(tag("li", f"and {group.count - len(items)} more"))
    heading = group.said if group.said is not None else "rarer warnings"
    clips = f"({counted(group.count, 'clip')})"
    return tag("details", tag("summary", heading, " ", tag("small", clips)), tag("ul", *items))


def _item(clip_id: str, label: str | None, status: str, *, own: str | None) -> Html:
    """A clip; `own` is its warning with its numbers, where the heading does not say that already."""
    known = " ".join(part for part in (label, status if status != OK else None) if part is not None)
    return tag(
        "li",
        tag("span", clip_id, class_="path"),
        tag("small", f" {known}") if known else None,
        f": {own}" if own is not None else None,
    )
