"""Every unusable clip, grouped by status and reason, so that a list of thousands stays readable."""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from dfer.schemas.cache import OK, STATUSES
from dfer.schemas.html.markup import Html, join, tag
from dfer.schemas.support.text import counted

REASONS_SHOWN = 20  # per status; rarer reasons share a group
MEANINGS = {
    "no_face": "Decoded, but no face was found in any sampled frame.",
    "undecodable": "Not readable by the decoder.",
    "quarantined": "Crashed or hung their process, or exceeded its memory limit.",
}


@dataclass(frozen=True, kw_only=True)
class ReasonGroup:
    """Clips of one status.

    reason: None for the group of rarer reasons
    clips: path, label, reason
    """

    status: str
    reason: str | None
    clips: pl.DataFrame


def group_by_reason(clips: pl.DataFrame) -> list[ReasonGroup]:
    """Group the unusable clips of a clips table by status and reason, most frequent reason first.

    A status's last group has the reasons of single clips and those after the first REASONS_SHOWN.
    """
    return [
        group
        for status in STATUSES
        if status != OK
        for group in _groups_of_status(status, clips.filter(pl.col("status") == status))
    ]


def unusable_list(clips: pl.DataFrame) -> Html:
    """Show a collapsed <details> for each group, with the path and label of every clip."""
    groups = group_by_reason(clips)
    if not groups:
        return tag("p", "None: every clip is usable." if len(clips) else "None: the cache has no clips.")
    parts: list[Html] = []
    for status in dict.fromkeys(group.status for group in groups):
        members = [group for group in groups if group.status == status]
        count = sum(len(group.clips) for group in members)
        parts.append(tag("h3", f"{status}: {counted(count, 'clip')}"))
        parts.append(tag("p", MEANINGS[status]))
        parts += [_details(group) for group in members]
    return join(*parts)


def _groups_of_status(status: str, clips: pl.DataFrame) -> Iterator[ReasonGroup]:
    clips = clips.select("path", "label", pl.col("reason").fill_null("no reason given"))
    counts = clips["reason"].value_counts(sort=False).sort(["count", "reason"], descending=[True, False])
    named = counts.filter((pl.col("count") > 1) | (len(counts) == 1)).head(REASONS_SHOWN)["reason"]
    for reason in named:
        yield ReasonGroup(status=status, reason=reason, clips=clips.filter(pl.col("reason") == reason))
    rest = clips.filter(~pl.col("reason").is_in(named.implode()))
    if len(rest):
        yield ReasonGroup(status=status, reason=None, clips=rest)


def _details(group: ReasonGroup) -> Html:
    reasons = group.clips["reason"].n_unique()
    heading = group.reason if group.reason is not None else counted(reasons, "rarer reason")
    items = [
        tag(
            "li",
            tag("span", path, class_="path"),
            tag("small", f" {label}") if label is not None else None,
            f": {reason}" if group.reason is None else None,
        )
        for path, label, reason in group.clips.iter_rows()
    ]
    summary = tag("summary", heading, " ", tag("small", f"({counted(len(items), 'clip')})"))
    return tag("details", summary, tag("ul", *items))
