"""Show the clips with a source warning: cut off, contradicting itself, showing another person too.

Warnings contain numbers of their clip ("it has 75 of the 90 frames in its header"), so clips are grouped by the text
without its numbers, and each clip is listed with its own warning.
"""

from dataclasses import dataclass

import polars as pl

from dfer.schemas.cache import OK
from dfer.schemas.html.markup import Html, join, tag
from dfer.schemas.support.text import counted

GROUPS_SHOWN = 20  # rarer warnings share a group: in an untrusted cache all may differ
CLIPS_SHOWN = 5  # of a group
EXPLANATION = (
    "These clips were read, and most are usable; look at some of each group before you use it. “…” stands for a "
    "number. The column source_warning in clips.parquet lists all of them."
)


@dataclass(frozen=True, kw_only=True)
class WarningGroup:
    """Clips with the same warning.

    text: the warning with … for numbers, None for the group of rarer warnings
    count: the number of clips
    first: the first few of them: clip_id, label, status, source_warning
    """

    text: str | None
    count: int
    first: pl.DataFrame


def group_by_warning(clips: pl.DataFrame) -> list[WarningGroup]:
    """Group the clips of a clips table that have a source_warning, the most frequent warning first."""
    warned = clips.filter(pl.col("source_warning").is_not_null()).select(
        "clip_id",
        "label",
        "status",
        "source_warning",
        text=pl.col("source_warning").str.replace_all(r"\d+", "…"),
    )
    counts = warned["text"].value_counts(sort=False).sort(["count", "text"], descending=[True, False])
    named = counts["text"].head(GROUPS_SHOWN)
    groups = [_group(text, warned.filter(pl.col("text") == text)) for text in named]
    rest = warned.filter(~pl.col("text").is_in(named.implode()))
    return [*groups, *([_group(None, rest)] if len(rest) else [])]


def warning_list(clips: pl.DataFrame) -> Html:
    """Return a closed <details> for each warning, with the number of its clips and the first few of them."""
    groups = group_by_warning(clips)
    if not groups:
        return tag("p", "None: no source has a warning." if len(clips) else "None: the cache has no clips.")
    return join(tag("p", EXPLANATION), *map(_details, groups))


def _group(text: str | None, members: pl.DataFrame) -> WarningGroup:
    return WarningGroup(text=text, count=len(members), first=members.head(CLIPS_SHOWN).drop("text"))


def _details(group: WarningGroup) -> Html:
    items = [
        _item(*row, own=warning if warning != group.text else None)
        for *row, warning in group.first.iter_rows()
    ]
    if group.count > len(items):
        items.append(tag("li", f"and {group.count - len(items)} more"))
    heading = group.text if group.text is not None else "rarer warnings"
    clips = f"({counted(group.count, 'clip')})"
    return tag("details", tag("summary", heading, " ", tag("small", clips)), tag("ul", *items))


def _item(clip_id: str, label: str | None, status: str, *, own: str | None) -> Html:
    """List a clip; own: its warning, None where the heading is the same."""
    known = " ".join(part for part in (label, status if status != OK else None) if part is not None)
    return tag(
        "li",
        tag("span", clip_id, class_="path"),
        tag("small", f" {known}") if known else None,
        f": {own}" if own is not None else None,
    )
