"""What a manifest holds, counted: clips by label, split, fold and kind, and how unequal the classes are."""

from typing import Any

import polars as pl

from dfer.data_manifest.datasets import Manifest
from dfer.schemas.manifest import KINDS, fold_numbers, is_tested, is_trained


def count(manifest: Manifest) -> dict[str, Any]:
    """The counts, for JSON: clips, kinds, labels, splits and folds (each with its labels), imbalance, problems.

    imbalance: clips of the largest class over those of the smallest, None where there are no two classes.
    """
    clips = manifest.clips
    labels = _by_label(clips)
    sizes = [size for label, size in labels.items() if label is not None]
    kinds = dict(clips["kind"].value_counts().iter_rows())
    splits = clips.select(pl.col("split").drop_nulls().unique(maintain_order=True)).to_series().to_list()
    return {
        "dataset": manifest.dataset,
        "root": str(manifest.root),
        "clips": len(clips),
        "kinds": {kind: kinds.get(kind, 0) for kind in KINDS},
        "labels": {label or "(no label)": size for label, size in labels.items()},
        "imbalance": max(sizes) / min(sizes) if len(sizes) > 1 else None,
        "splits": {split: _part(clips.filter(split=split)) for split in sorted(splits, key=_split_order)},
        "folds": {str(fold): _fold(clips, fold) for fold in fold_numbers(clips)},
        "subjects": clips["subject"].drop_nulls().n_unique(),
        "scenes": clips["scene"].drop_nulls().n_unique(),
        "problems": [
            {"kind": p.kind, "count": p.count, "text": p.text, "examples": list(p.examples)}
            for p in manifest.problems
        ],
    }


def _split_order(split: str) -> int:
    return ("train", "val", "test").index(split)


def _fold(clips: pl.DataFrame, fold: int) -> dict[str, Any]:
    """The clips that a fold trains on, and those that it tests."""
    return {"train": _part(clips.filter(is_trained(fold))), "test": _part(clips.filter(is_tested(fold)))}


def _part(clips: pl.DataFrame) -> dict[str, Any]:
    return {
        "clips": len(clips),
        "labels": {label or "(no label)": n for label, n in _by_label(clips).items()},
    }


def _by_label(clips: pl.DataFrame) -> dict[str | None, int]:
    return dict(clips["label"].value_counts().sort("label", nulls_last=True).iter_rows())
