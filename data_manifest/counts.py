"""Count a manifest's clips by label, split, fold and kind."""

from typing import Any

import polars as pl

from dfer.data_manifest.datasets import Manifest
from dfer.schemas.manifest import KINDS, fold_numbers, is_tested, is_trained

NO_LABEL = "(no label)"


def count(manifest: Manifest) -> dict[str, Any]:
    """Count clips by kind, label, split and fold (the latter two again by label), and list the problems; as JSON.

    imbalance: clips of the largest class per clip of the smallest, None with fewer than two classes.
    """
    clips = manifest.clips
    labels = _by_label(clips)
    sizes = [size for label, size in labels.items() if label != NO_LABEL]
    voted = clips.filter(pl.col("votes").is_not_null())
    kinds = dict(clips["kind"].value_counts().iter_rows())
    splits = clips.select(pl.col("split").drop_nulls().unique(maintain_order=True)).to_series().to_list()
    return {
        "dataset": manifest.dataset,
        "root": str(manifest.root),
        "clips": len(clips),
        "kinds": {kind: kinds.get(kind, 0) for kind in KINDS},
        "labels": labels,
        "imbalance": max(sizes) / min(sizes) if len(sizes) > 1 else None,
        "splits": {split: _part(clips.filter(split=split)) for split in sorted(splits, key=_split_order)},
        "folds": {str(fold): _fold(clips, fold) for fold in fold_numbers(clips)},
        "subjects": clips["subject"].drop_nulls().n_unique(),
        "scenes": clips["scene"].drop_nulls().n_unique(),
        "votes": {"clips": len(voted), "without_label": voted["label"].null_count()},
        "problems": [
            {"kind": p.kind, "text": p.text, "count": p.count, "total": p.total, "examples": list(p.examples)}
            for p in manifest.problems
        ],
    }


def _split_order(split: str) -> int:
    return ("train", "val", "test").index(split)


def _fold(clips: pl.DataFrame, fold: int) -> dict[str, Any]:
    """The clips that a fold trains on and those that it tests."""
    return {"train": _part(clips.filter(is_trained(fold))), "test": _part(clips.filter(is_tested(fold)))}


def _part(clips: pl.DataFrame) -> dict[str, Any]:
    return {"clips": len(clips), "labels": _by_label(clips)}


def _by_label(clips: pl.DataFrame) -> dict[str, int]:
    sizes = clips["label"].value_counts().sort("label", nulls_last=True)
    return {NO_LABEL if label is None else label: size for label, size in sizes.iter_rows()}
