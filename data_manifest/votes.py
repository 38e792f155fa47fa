"""Votes: how many people chose each class for a clip, and the label that follows from them."""

from collections.abc import Mapping

import polars as pl

from dfer.data_manifest.problems import Problem, report


def add_votes(
    rows: pl.DataFrame, classes: Mapping[str, str], others: Mapping[str, str] | None = None
) -> tuple[pl.DataFrame, list[Problem]]:
    """Replace columns of votes by `votes`, as MANIFEST_SCHEMA has them, and fill in `label`.

    rows: with `clip_id`, `label` (where it is not null, it stays) and columns of numbers from 0
    classes: the column of each class, in the order of the votes
    others: the column of each answer that is not a class, such as unknown

    The label is the class with most votes. Reported are clips without: their most votes are shared, or for one of
    `others`. A clip without a vote for a class has no `votes`.
    """
    others = others or {}
    answers = {**classes, **others}
    most = pl.max_horizontal(answers.values())
    winners = pl.sum_horizontal((pl.col(column) == most).cast(pl.Int32) for column in answers.values())
    winner = pl.coalesce(
        pl.when(pl.col(column) == most).then(pl.lit(name)) for name, column in answers.items()
    )
    winner = pl.when((winners == 1) & (most > 0)).then(winner)
    numbers = pl.concat_list(pl.col(column).cast(pl.Float64).fill_null(0) for column in classes.values())
    rows = rows.with_columns(
        votes=pl.when(pl.sum_horizontal(classes.values()) > 0).then(numbers),
        label=pl.coalesce("label", pl.when(winner.is_in(list(classes))).then(winner)),
        _shared=(winners > 1) & (most > 0),
        _other=winner.is_in(list(others)),
    )
    shared, other = (rows.filter(pl.col("label").is_null() & pl.col(name)) for name in ("_shared", "_other"))
    text = "clips without a label: most votes are"
    return rows.drop("_shared", "_other", *answers.values()), [
        *report("no label", f"{text} shared by several answers", shared["clip_id"], total=len(rows)),
        *report("no label", f"{text} for {' or '.join(others)}", other["clip_id"], total=len(rows)),
    ]
