"""Whether figures may stand beside published ones: only where the same was done with the same dataset."""

from collections.abc import Collection

from data_manifest.published import results


def obstacle(dataset: str, *, trained_on: str, protocol: str, not_covered: int = 0) -> str | None:
    """Why figures on a dataset cannot be compared with those published for it; None where they can, and where none
    are published.

    trained_on: the dataset of the network's run; protocol: how it was judged, as `published.csv` words it ("official
    split", "mean of 5 folds") or in other words; not_covered: clips whose class the network does not have.
    """
    known = results(dataset)
    if known.is_empty():
        return None
    published = known["protocol"][0]
    if trained_on != dataset:
        return f"the network was trained on {trained_on}"
    if protocol != published:
        return f"published is the {published}, this is: {protocol}"
    return f"{not_covered} clips have a class that the network lacks" if not_covered else None


def ablation_obstacle(dataset: str, protocol: str, published_on: Collection[str]) -> str | None:
    """Why an ablation's figures on a dataset cannot be compared with the published ones; None where they can, and
    where none are published. published_on: the datasets that have them."""
    if published_on and dataset.lower() not in map(str.lower, published_on):
        return f"published is {' and '.join(published_on)}, this is {dataset}"
    return obstacle(dataset, trained_on=dataset, protocol=protocol) if published_on else None
