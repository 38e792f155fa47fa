"""Published results next to ours, and whether the two are comparable: same dataset, same protocol, same clips."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from dfer.data_manifest.published_results import JUDGED, PAPER, TESTED, results
from dfer.schemas.support.text import counted

# Share of the test clips that may be missing or too many: videos of datasets such as AFEW get lost.
TOLERANCE = 0.05


class ResultRow(NamedTuple):
    """A method with its WAR and UAR, 0–1, NaN if unknown, and remarks on them, joined by "; "."""

    method: str
    war: float
    uar: float
    remark: str = ""


class PublishedComparison(NamedTuple):
    """What a table of our results and the published ones shows."""

    title: str
    ours: list[ResultRow]
    published: list[ResultRow]


def not_comparable_reason(
    dataset: str, *, trained_on: str, protocol: str, clips: int, not_covered: int = 0
) -> str | None:
    """Why results on a dataset cannot be compared with the published ones.

    trained_on: dataset of the network's run
    protocol: as in `published_results.csv` ("official split", "mean of 5 folds"), or in other words
    clips: how many were evaluated, over all folds
    not_covered: how many clips have a class that the network does not know

    Returns None if they can be compared, or if nothing is published for the dataset.
    """
    known = results(dataset)
    if known.is_empty():
        return None
    published = known["protocol"][0]
    if trained_on != dataset:
        return f"the network was trained on {trained_on}"
    if protocol != published:
        return f"{protocol} instead of {published}"
    name = dataset.lower().replace("-", "")
    if abs(clips - TESTED[name]) > TOLERANCE * TESTED[name]:
        return f"{clips} clips instead of the {TESTED[name]} {JUDGED.get(name, 'test')} clips of the dataset"
    return f"the network does not know the class of {counted(not_covered, 'clip')}" if not_covered else None


def ablation_not_comparable_reason(
    dataset: str, protocol: str, clips: int, published_on: Collection[str]
) -> str | None:
    """Why results of an ablation cannot be compared with the published ones.

    dataset, protocol, clips: as in `not_comparable_reason`
    published_on: datasets with published results of this ablation

    Returns None if they can be compared, or if nothing is published.
    """
    if not published_on:
        return None
    if dataset.lower() not in map(str.lower, published_on):
        return f"published on {' and '.join(published_on)}, not on {dataset}"
    return not_comparable_reason(dataset, trained_on=dataset, protocol=protocol, clips=clips)


def compare_with_published(
    dataset: str, ours: Mapping[str, tuple[float, float]]
) -> PublishedComparison | None:
    """Our WAR and UAR (0–1, by name) and the published ones; None if nothing is published for the dataset."""
    known = results(dataset)
    if known.is_empty():
        return None
    published = [
        ResultRow(
            method=f"{row['method']} ({row['cited']})" if row["cited"] else row["method"],
            war=float("nan") if row["war"] is None else row["war"],
            uar=float("nan") if row["uar"] is None else row["uar"],
            remark=row["remark"],
        )
        for row in known.iter_rows(named=True)
    ]
    title = f"{dataset}, {known['protocol'][0]} (from {PAPER})"
    return PublishedComparison(
        title, [ResultRow(name, *figures) for name, figures in ours.items()], published
    )


def published_json(dataset: str, reason: str | None) -> dict[str, Any]:
    """The published results for a dataset, and why ours cannot be compared with them, for JSON."""
    return {"incomparable": reason, "published": results(dataset).to_dicts()}


def footnotes(remarks: Iterable[Sequence[str]]) -> tuple[list[str], list[str]]:
    """Number the remarks on the rows of a table; a remark that comes again keeps its number.

    remarks: those of each row

    Returns the numbers for each row ("1, 3" or ""), and the notes to print below the table ("1: …").
    """
    numbers: dict[str, int] = {}
    marks = [sorted(numbers.setdefault(remark, len(numbers) + 1) for remark in of_row) for of_row in remarks]
    return [", ".join(map(str, mark)) for mark in marks], [
        f"{number}: {remark}" for remark, number in numbers.items()
    ]


def split_remark(remark: str) -> list[str]:
    """The single remarks of a published figure, which `published_results.csv` joins by "; "."""
    return remark.split("; ") if remark else []
