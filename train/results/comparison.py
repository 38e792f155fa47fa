"""Figures beside published ones, and whether they may stand there: only where the same was done with the dataset."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from dfer.data_manifest.published import JUDGED, PAPER, TESTED, results
from dfer.schemas.support.text import counted

# Share of the published test clips that may lack, or be too many: datasets such as AFEW lose a few.
OFF = 0.05


class Row(NamedTuple):
    """A method with its WAR and UAR, 0–1, NaN where none is known."""

    method: str
    war: float
    uar: float
    remark: str = ""


def obstacle(dataset: str, *, trained_on: str, protocol: str, clips: int, not_covered: int = 0) -> str | None:
    """Why figures on a dataset cannot be compared with those published for it; None where they can, and where none
    are published.

    trained_on: the dataset of the network's run; protocol: how it was judged, as `published.csv` words it ("official
    split", "mean of 5 folds") or in other words; clips: how many were judged, in all folds; not_covered: how many of
    them have a class that the network lacks.
    """
    known = results(dataset)
    if known.is_empty():
        return None
    published = known["protocol"][0]
    if trained_on != dataset:
        return f"the network was trained on {trained_on}"
    if protocol != published:
        return f"published is the {published}, this is: {protocol}"
    name = dataset.lower().replace("-", "")
    if abs(clips - TESTED[name]) > OFF * TESTED[name]:
        return f"published is for all {TESTED[name]} {JUDGED.get(name, 'test')} clips, this is for {clips}"
    return f"the network lacks the class of {counted(not_covered, 'clip')}" if not_covered else None


def side_by_side(
    dataset: str, ours: Mapping[str, tuple[float, float]]
) -> tuple[str, list[Row], list[Row]] | None:
    """A title, our WAR and UAR by what they are, and those published for a dataset; None where none are published."""
    known = results(dataset)
    if known.is_empty():
        return None
    theirs = [
        Row(
            method=f"{row['method']} ({row['cited']})" if row["cited"] else row["method"],
            war=float("nan") if row["war"] is None else row["war"],
            uar=float("nan") if row["uar"] is None else row["uar"],
            remark=row["remark"] or "",
        )
        for row in known.iter_rows(named=True)
    ]
    title = f"{dataset}, {known['protocol'][0]} (as quoted by {PAPER})"
    return title, [Row(name, war, uar) for name, (war, uar) in ours.items()], theirs


def as_json(dataset: str, incomparable: str | None) -> dict[str, Any]:
    """What is published for a dataset (`published.results`), and why it cannot be compared, for a program to read."""
    return {"incomparable": incomparable, "published": results(dataset).to_dicts()}


def ablation_obstacle(dataset: str, protocol: str, clips: int, published_on: Collection[str]) -> str | None:
    """Why an ablation's figures on a dataset cannot be compared with the published ones; None where they can, and
    where none are published. published_on: the datasets that have them."""
    if published_on and dataset.lower() not in map(str.lower, published_on):
        return f"published is {' and '.join(published_on)}, this is {dataset}"
    if not published_on:
        return None
    return obstacle(dataset, trained_on=dataset, protocol=protocol, clips=clips)
