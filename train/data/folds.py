"""The folds of a cross-validation: the dataset's own, or drawn from its subjects or clips."""

import re
from collections.abc import Sequence

import polars as pl

from dfer.schemas.support.errors import UserError
from dfer.train.data.splits import SplitChoice, official_folds

MAX_FOLDS = 1000
DRAWN = {"subject": "subject_folds", "clips": "clip_folds"}  # of --folds: field of the SplitChoice


def fold_choices(clips: pl.DataFrame, folds: str) -> list[SplitChoice]:
    """The split of each fold.

    clips: of a pool
    folds: `official`, the dataset's own folds; `subject:K`, K folds of subjects; `clips:K`, K folds of clips

    Raises UserError for another value, or if the caches have no folds or different ones.
    """
    if folds == "official":
        numbers = official_folds(clips)
        if not numbers:
            subjects = clips["subject"].drop_nulls().n_unique()
            drawn = f"subject:{min(subjects, 5)}" if subjects > 1 else "clips:5"
            raise UserError(
                f"--folds official: the cache has no folds; use --folds {drawn}, or leave --folds out (instead of "
                "`train crossval` use `train run`)"
            )
        return [SplitChoice(fold=number) for number in numbers]
    word, _, count = folds.partition(":")
    if word not in DRAWN or not re.fullmatch("[0-9]+", count) or not 2 <= float(count) <= MAX_FOLDS:
        raise UserError(
            f"--folds {folds}: must be official, subject:K or clips:K, with K from 2 to {MAX_FOLDS}"
        )
    drawn = {DRAWN[word]: int(count)}
    return [SplitChoice(fold=number, **drawn) for number in range(1, int(count) + 1)]


def protocol_of(choices: Sequence[SplitChoice]) -> str:
    """How these folds are tested, in the words of published results where they have any."""
    return f"mean of {choices[0].drawn_folds or f'{len(choices)} folds'}"
