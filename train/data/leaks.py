"""What is among the clips that are judged and those that weights were trained on: the same file, told by its content,
or the same person."""

from collections.abc import Collection

import polars as pl

from dfer.schemas.support.errors import UserError
from dfer.train.data.caches import fingerprints, usable


def between_parts(train: pl.DataFrame, test: pl.DataFrame) -> list[str]:
    """Files that are both trained on and tested, which makes figures worthless: within a cache the dataset's owners
    have it so, and it is said; between caches it is refused. Raises UserError."""
    both = fingerprints(test).join(fingerprints(train), on="fingerprint", suffix="_trained")
    if both.is_empty():
        return []
    between = both.filter(pl.col("cache") != pl.col("cache_trained"))
    same = set((both if between.is_empty() else between)["fingerprint"])
    first = trained_before(test, same)[0]
    named = f"(the same files, such as {first})"
    if between.is_empty():
        return [f"warning: test clips that are training clips too: {len(same)} {named}"]
    raise UserError(
        f"{len(same)} test clips are training clips of another cache {named}: take one of the caches out, or "
        "extract it without them"
    )


def shared_subjects(train: pl.DataFrame, test: pl.DataFrame) -> list[str]:
    """Who is shown in both parts: a network may then tell people instead of expressions."""
    both = sorted({*train["subject"].drop_nulls()} & {*test["subject"].drop_nulls()})
    if not both:
        return []
    return [f"warning: subjects of test clips that training clips show too: {len(both)} (such as {both[0]})"]


def trained_before(clips: pl.DataFrame, trained_on: Collection[str]) -> list[str]:
    """The ids of usable clips whose files weights were trained on. trained_on: those files' fingerprints."""
    known = pl.Series(list(trained_on), dtype=pl.String)
    return usable(clips).filter(pl.col("fingerprint").is_in(known.implode()))["clip_id"].to_list()
