"""Match a dataset's labels with a network's classes: other names for the same class, and classes it lacks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from dfer.data_manifest.labels import match_labels
from dfer.schemas.support.errors import UserError
from dfer.train.data.caches import with_label


@dataclass(frozen=True, kw_only=True)
class ClassMatch:
    """The labelled clips of a dataset in a network's terms.

    clips: the labelled clips; each label is the network's name for it, or unchanged if the network lacks it
    renamed: the dataset's label -> the network's name, where they differ
    not_covered: label that the network lacks -> clips with it; they are predicted but count in no figure
    """

    clips: pl.DataFrame
    renamed: Mapping[str, str]
    not_covered: Mapping[str, int]


def match_classes(clips: pl.DataFrame, labels: Sequence[str]) -> ClassMatch:
    """Match the labels of a clips table with a network's classes (`data_manifest.labels.match_labels`).

    Raises UserError if no clip has one of the network's classes.
    """
    clips = with_label(clips)
    counts = dict(clips["label"].value_counts().sort("label").iter_rows())
    matches = match_labels(labels, list(counts))
    if not any(matches.values()):
        theirs = ", ".join(counts) or "no labels"
        raise UserError(f"no class in common: the clips have {theirs}, the network {', '.join(labels)}")
    renamed = {label: own for label, own in matches.items() if own and own != label}
    return ClassMatch(
        clips=clips.with_columns(pl.col("label").replace(renamed)),
        renamed=renamed,
        not_covered={label: counts[label] for label, own in matches.items() if own is None},
    )


def only_covered(table: pl.DataFrame, labels: Sequence[str]) -> pl.DataFrame:
    """Keep the rows of a clips or prediction table whose label is one of the network's classes."""
    return table.filter(pl.col("label").is_in(list(labels)))


def most_frequent(clips: pl.DataFrame) -> str:
    """The label that most clips have; of equally frequent ones the first in the alphabet."""
    counts = clips["label"].drop_nulls().value_counts()
    return counts.sort("count", "label", descending=[True, False])["label"][0]


def label_ids(clips: pl.DataFrame, labels: Sequence[str]) -> list[int]:
    """Number each clip's label by its place in `labels`; −1 for a clip without a label.

    Raises UserError for a label that is not in `labels`.
    """
    ids = {label: number for number, label in enumerate(labels)}
    unknown = sorted(set(clips["label"].drop_nulls()) - set(labels))
    if unknown:
        raise UserError(f"unknown labels: {', '.join(unknown)}; the network has {', '.join(labels)}")
    return [ids.get(label, -1) for label in clips["label"]]


def target_shares(clips: pl.DataFrame, labels: Sequence[str]) -> np.ndarray:
    """The distribution over the classes that each clip is trained on, (clips, classes) float32, rows sum to 1.

    It is the shares of the votes; all of it is on the label for a clip without votes.

    clips: with votes in the order of `labels`, and a label where there are none
    """
    numbers = np.array(label_ids(clips, labels))
    shares = np.zeros((len(clips), len(labels)))
    voted = clips["votes"].is_not_null().to_numpy()
    shares[np.flatnonzero(~voted), numbers[~voted]] = 1
    if voted.any():
        votes = np.array(clips.filter(voted)["votes"].to_list())
        shares[voted] = votes / votes.sum(1, keepdims=True)
    return shares.astype(np.float32)
