"""The folds of a cross-validation: the dataset's own, or drawn from its subjects or clips."""

import re
from collections.abc import Sequence

import polars as pl

from dfer.schemas.manifest import fold_numbers
from dfer.schemas.support.errors import UserError
from dfer.train.data.split_notes import drawn_folds
from dfer.train.data.splits import SplitChoice

MAX_FOLDS = 1000
DRAWN = {"subject": "subject_folds", "clips": "clip_folds"}  # of --folds: field of the SplitChoice


def fold_choices(clips: pl.DataFrame, folds: str, where: str = "the cache") -> list[SplitChoice]:
    """The split of each fold.

    clips: of a pool
    folds: `official`, the dataset's own folds; `subject:K`, K folds of subjects; `clips:K`, K folds of clips
    where: the caches, for messages

    Raises UserError for another value, or if the caches have no folds or different ones.
    """
    if folds == "official":
        numbers = official_folds(clips)
        if not numbers:
            raise UserError(
                f"--folds official: no folds in {where}; use --folds {drawn_folds(clips)}, or leave --folds out "
                "(instead of `train crossval` use `train run`)"
            )
        return [SplitChoice(fold=number) for number in numbers]
    word, _, count = folds.partition(":")
    if word not in DRAWN or not re.fullmatch("[0-9]+", count) or not 2 <= float(count) <= MAX_FOLDS:
        raise UserError(
            f"--folds {folds}: must be official, subject:K or clips:K, with K from 2 to {MAX_FOLDS}"
        )
    drawn = {DRAWN[word]: int(count)}
    return [SplitChoice(fold=number, **drawn) for number in range(1, int(count) + 1)]


def official_folds(clips: pl.DataFrame) -> list[int]:
    """List the folds of a pool's caches, which must be the same in all that have any. Raises UserError if not."""
    numbers = [fold_numbers(part) for part in clips.partition_by("cache", maintain_order=True)]
    different = sorted({tuple(own) for own in numbers if own})
    if len(different) > 1:
        listed = (", ".join(map(str, own)) for own in different)
        raise UserError(
            f"the caches have different folds: {'; '.join(listed)}; give caches with the same folds"
        )
    return list(different[0]) if different else []


def protocol_of(choices: Sequence[SplitChoice]) -> str:
    """How these folds are tested, in the words of published results where they have any."""
    return f"mean of {choices[0].drawn_folds or f'{len(choices)} folds'}"
