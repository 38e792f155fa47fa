"""A dataset's labels as a network knows them: the same classes by other names, and classes that it does not have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from dfer.data_manifest.labels import match_labels
from dfer.schemas.support.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """clips: the labelled clips, each label by the network's name for it, or as it was where it has none.
    renamed: label of the dataset → the network's name, where they differ; not_covered: label that the network does
    not have → clips, which are predicted and take no part in any figure."""

    clips: pl.DataFrame
    renamed: Mapping[str, str]
    not_covered: Mapping[str, int]


def cover(clips: pl.DataFrame, labels: Sequence[str]) -> Coverage:
    """Match the labels of a clips table with the classes of a network (`data_manifest.labels.match_labels`).

    Raises UserError where no clip has a class of the network.
    """
    clips = clips.filter(pl.col("label").is_not_null())
    counts = dict(clips["label"].value_counts().sort("label").iter_rows())
    found = match_labels(labels, list(counts))
    if not any(found.values()):
        theirs = ", ".join(counts) or "no labels"
        raise UserError(f"no class in common: the clips have {theirs}, the network {', '.join(labels)}")
    renamed = {label: own for label, own in found.items() if own and own != label}
    return Coverage(
        clips=clips.with_columns(pl.col("label").replace(renamed)),
        renamed=renamed,
        not_covered={label: counts[label] for label, own in found.items() if own is None},
    )


def only_covered(table: pl.DataFrame, labels: Sequence[str]) -> pl.DataFrame:
    """The rows of a table of clips or predictions that figures rest on: those with a class of the network."""
    return table.filter(pl.col("label").is_in(list(labels)))


def label_ids(clips: pl.DataFrame, labels: Sequence[str]) -> list[int]:
    """The class of every clip as the network numbers it.

    Raises UserError for labels that the network does not know.
    """
    numbers = {label: number for number, label in enumerate(labels)}
    unknown = sorted(set(clips["label"].drop_nulls()) - set(labels))
    if unknown:
        raise UserError(
            f"the network does not know the labels {', '.join(unknown)}; it has {', '.join(labels)}"
        )
    return [numbers.get(label, -1) for label in clips["label"]]
