"""Which clips are trained on and which are judged."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from schemas.errors import UserError
from schemas.manifest import fold_numbers, is_tested, is_trained


@dataclass(frozen=True, kw_only=True)
class Split:
    """Two parts of a clips table (both with unusable clips), and in words how they were chosen.

    seen: whether the test part is the training part, so that its figures say nothing about new clips.
    """

    train: pl.DataFrame
    test: pl.DataFrame
    description: str
    seen: bool = False


@dataclass(frozen=True, kw_only=True)
class SplitChoice:
    """How a split is asked for. fold: which one is judged; subject_folds: into how many folds the subjects are
    dealt, 0 for the dataset's own folds; holdout: share kept apart where there is no split."""

    fold: int | None = None
    subject_folds: int = 0
    holdout: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.holdout <= 0.9:
            raise UserError(f"--holdout {self.holdout}: it must lie between 0 and 0.9")

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "SplitChoice":
        """The same from `as_dict`. Raises ValueError or TypeError for other content."""
        choice = cls(**content)
        if not isinstance(choice.fold, int | None) or not isinstance(choice.subject_folds, int):
            raise ValueError("folds are numbers")
        return choice


def choose_split(clips: pl.DataFrame, choice: SplitChoice, seed: int) -> Split:
    """Split the labelled clips: by fold, else by the dataset's own split, else by `holdout`, else not at all.

    Kept apart are whole subjects where the table names at least two, else clips label by label.
    Raises UserError where the table has no such fold, or needs one chosen, or a part is left empty.
    """
    fold, holdout = choice.fold, choice.holdout
    clips = clips.filter(pl.col("label").is_not_null())
    if clips.is_empty():
        raise UserError("no clip of the cache has a label: nothing to train on")
    if choice.subject_folds:
        split = _by_subject_fold(clips, choice.subject_folds, fold, seed)
    elif fold is not None:
        split = _by_fold(clips, fold)
    elif clips["split"].is_not_null().any():
        split = _by_official_split(clips)
    elif fold_numbers(clips):
        raise UserError(f"the cache has folds {_listed(fold_numbers(clips))}: choose one with --fold")
    elif holdout > 0:
        split = _by_holdout(clips, holdout, seed)
    else:
        description = "the training clips themselves (the cache has no split; --holdout keeps some apart)"
        return Split(train=clips, test=clips, description=description, seen=True)
    if split.train.is_empty() or split.test.is_empty():
        raise UserError(f"{split.description}: {len(split.train)} training and {len(split.test)} test clips")
    return split


def _by_fold(clips: pl.DataFrame, fold: int) -> Split:
    numbers = fold_numbers(clips)
    if fold not in numbers:
        raise UserError(f"--fold {fold}: the cache has {_listed(numbers) or 'no folds'}")
    train, test = clips.filter(is_trained(fold)), clips.filter(is_tested(fold))
    return Split(train=train, test=test, description=f"fold {fold}")


def _by_subject_fold(clips: pl.DataFrame, folds: int, fold: int | None, seed: int) -> Split:
    """Subjects dealt in random order, those with most clips first, each to the fold with the fewest clips."""
    if clips["subject"].null_count():
        raise UserError(
            f"{clips['subject'].null_count()} clips of the cache have no subject: no folds of subjects"
        )
    counts = clips["subject"].value_counts().sort("subject").sample(fraction=1, shuffle=True, seed=seed)
    if not 2 <= folds <= len(counts):
        raise UserError(
            f"subject:{folds}: between 2 and {len(counts)} folds, the cache has that many subjects"
        )
    if fold is None or not 1 <= fold <= folds:
        raise UserError(f"--fold {fold}: choose one of 1 to {folds}")
    sizes, dealt = [0] * folds, {}
    for subject, count in counts.sort("count", descending=True, maintain_order=True).iter_rows():
        place = sizes.index(min(sizes))
        sizes[place] += count
        dealt[subject] = place + 1
    test = pl.col("subject").is_in([subject for subject, place in dealt.items() if place == fold])
    description = f"fold {fold} of {folds} folds of subjects"
    return Split(train=clips.filter(~test), test=clips.filter(test), description=description)


def _by_official_split(clips: pl.DataFrame) -> Split:
    judged = "test" if (clips["split"] == "test").any() else "val"
    return Split(
        train=clips.filter(pl.col("split") == "train"),
        test=clips.filter(pl.col("split") == judged),
        description=f"the dataset's own {judged} split",
    )


def _by_holdout(clips: pl.DataFrame, holdout: float, seed: int) -> Split:
    random = np.random.default_rng(seed)
    subjects = clips["subject"].unique().sort().to_numpy()
    if len(subjects) > 1 and clips["subject"].is_not_null().all():
        count = max(1, round(holdout * len(subjects)))
        apart = random.permutation(subjects)[:count].tolist()
        test, description = pl.col("subject").is_in(apart), f"{count} of {len(subjects)} subjects kept apart"
    else:
        ids = []
        for label in clips["label"].unique().sort():
            of_label = clips.filter(pl.col("label") == label)["clip_id"].sort().to_numpy()
            ids += random.permutation(of_label)[: round(holdout * len(of_label))].tolist()
        test, description = pl.col("clip_id").is_in(ids), f"{len(ids)} of {len(clips)} clips kept apart"
    return Split(train=clips.filter(~test), test=clips.filter(test), description=description)


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
