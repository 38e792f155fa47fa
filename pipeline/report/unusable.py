"""Every clip that cannot be used, grouped by status and reason, so that thousands of them stay readable."""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from dfer.schemas.cache import OK, STATUSES
from dfer.schemas.html.markup import Html, join, tag
from dfer.schemas.support.text import counted

REASONS_SHOWN = 20  # of a status; the rarer ones share a group
MEANINGS = {
    "no_face": "Decoded, but no face was found in any sampled frame.",
    "undecodable": "The decoder could not read them.",
    "quarantined": "Given up: they crashed, hung or starved the process that read them.",
}


@dataclass(frozen=True, kw_only=True)
class ReasonGroup:
    """Clips of one status. reason is None for a group of rarer reasons; clips: path, label, reason."""

    status: str
    reason: str | None
    clips: pl.DataFrame


def group_by_reason(clips: pl.DataFrame) -> list[ReasonGroup]:
    """The unusable clips of a clips table: by status, the commonest reason first, each clip once.

    A reason of one clip only, or beyond the REASONS_SHOWN commonest, goes to the status's last group.
    """
    return [
        group
        for status in STATUSES
        if status != OK
        for group in _groups_of_status(status, clips.filter(pl.col("status") == status))
    ]


def unusable_list(clips: pl.DataFrame) -> Html:
    """A closed <details> per group, holding every clip's path and label."""
    groups = group_by_reason(clips)
    if not groups:
        return tag("p", "None: every clip is usable." if len(clips) else "None: there are no clips.")
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
