"""Whether figures may stand beside published ones: only where the same was done with the same dataset."""

from collections.abc import Collection

from data_manifest.published import TESTED, results

ENOUGH = 0.95  # of the published test clips; some datasets lose a few with the years, such as AFEW


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
    tested = TESTED[dataset.lower().replace("-", "")]
    if clips < ENOUGH * tested:
        return f"published is for all {tested} test clips, this is for {clips}"
    return f"{not_covered} clips have a class that the network lacks" if not_covered else None


def ablation_obstacle(dataset: str, protocol: str, clips: int, published_on: Collection[str]) -> str | None:
    """Why an ablation's figures on a dataset cannot be compared with the published ones; None where they can, and
    where none are published. published_on: the datasets that have them."""
    if published_on and dataset.lower() not in map(str.lower, published_on):
        return f"published is {' and '.join(published_on)}, this is {dataset}"
    if not published_on:
        return None
    return obstacle(dataset, trained_on=dataset, protocol=protocol, clips=clips)
