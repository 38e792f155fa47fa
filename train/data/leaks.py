"""Find test clips that the network was trained on (same file content), and people in both parts."""

from collections.abc import Collection

import polars as pl

from dfer.schemas.support.errors import UserError
from dfer.schemas.support.text import counted
from dfer.train.data.caches import fingerprints, usable


def between_parts(train: pl.DataFrame, test: pl.DataFrame) -> list[str]:
    """Warn about files in both parts of a split; refuse them if they come from different caches.

    Within one cache the overlap is the dataset's own, and published figures include it.

    Returns at most one warning.
    Raises UserError if a test clip is a training clip of another cache.
    """
    both = fingerprints(test).join(fingerprints(train), on="fingerprint", suffix="_trained")
    if both.is_empty():
        return []
    across = both.filter(pl.col("cache") != pl.col("cache_trained"))
    shared = set((both if across.is_empty() else across)["fingerprint"])
    known = overlap(test, shared)
    clips, example = counted(len(known), "test clip"), known[0]
    if across.is_empty():
        return [f"warning: {clips} also in the training part (same file content, such as {example})"]
    raise UserError(
        f"{clips} also in the training part of another cache (same file content, such as {example}); "
        "drop one cache, or re-extract without these clips"
    )


def shared_subjects(train: pl.DataFrame, test: pl.DataFrame) -> list[str]:
    """Warn about people in both parts: the network may recognise them instead of their expressions."""
    both = sorted({*train["subject"].drop_nulls()} & {*test["subject"].drop_nulls()})
    if not both:
        return []
    return [f"warning: {counted(len(both), 'subject')} in both training and test clips (such as {both[0]})"]


def overlap(clips: pl.DataFrame, trained_on: Collection[str]) -> list[str]:
    """List the ids of usable clips whose fingerprints are among those that a network was trained on."""
    known = pl.Series(list(trained_on), dtype=pl.String)
    return usable(clips).filter(pl.col("fingerprint").is_in(known.implode()))["clip_id"].to_list()
