"""Which clips are trained on and which are judged."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from dfer.schemas.manifest import fold_numbers, is_tested, is_trained
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.text import counted
from dfer.train.data.caches import usable
from dfer.train.data.leaks import between_parts, shared_subjects


@dataclass(frozen=True, kw_only=True)
class Split:
    """Two parts of a clips table (both with unusable clips), and in words how they were chosen.

    seen: whether the test part is the training part, so that its figures say nothing about new clips.
    official: whether it is a single dataset's own split.
    held_out: whether a share was kept apart of a cache that has no split.
    notes: what a person should know of it before trusting its figures, a line each.
    """

    train: pl.DataFrame
    test: pl.DataFrame
    description: str
    seen: bool = False
    official: bool = False
    held_out: bool = False
    notes: tuple[str, ...] = ()

    @property
    def protocol(self) -> str:
        """What published results call it, where they know it, else in our own words."""
        return "official split" if self.official else self.description


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
    """Split a pool's labelled clips, each cache's by itself: by fold, else by the dataset's own split, else by
    `holdout`. A cache that offers none of these goes wholly into training, unless none offers any.

    Kept apart are whole subjects where a cache names at least two, else clips label by label.
    Raises UserError where no cache has such a fold, or one needs it chosen, or a part is left empty, or a clip of the
    one part is in the other by way of another cache.
    """
    unlabelled, clips = clips["label"].null_count(), clips.filter(pl.col("label").is_not_null())
    if clips.is_empty():
        raise UserError("no clip of the cache has a label: nothing to train on or to judge")
    _refuse_what_no_cache_has(clips, choice)
    parts = clips.partition_by("cache", maintain_order=True)
    found = [_own_split(part, choice, seed) for part in parts]
    if not any(found):
        description = "the training clips themselves (the cache has no split; --holdout keeps some apart)"
        split = Split(train=clips, test=clips, description=description, seen=True)
        return replace(split, notes=tuple(_unused(clips, unlabelled, split)))
    split = _joined(parts, [own or _all_in_training(part) for own, part in zip(found, parts, strict=True)])
    if split.train.is_empty() or split.test.is_empty():
        counts = f"{len(split.train)} training and {len(split.test)} test clips"
        raise UserError(
            f"{split.description}: {counts}, and both are needed; mend the dataset's split, or choose another "
            "--fold or --holdout"
        )
    notes = (
        *_unused(clips, unlabelled, split),
        *_never_shown(split),
        *shared_subjects(split.train, split.test),
        *between_parts(split.train, split.test),
    )
    return replace(split, notes=notes)


def require_lesson(split: Split, where: str) -> None:
    """Raise UserError where the usable training clips teach nothing. where: the caches, for the message."""
    clips = usable(split.train)
    if clips.is_empty():
        raise UserError(f"{where}: none of the {counted(len(split.train), 'training clip')} is usable")
    if clips["label"].n_unique() < 2:
        raise UserError(
            f"{where}: all {len(clips)} usable training clips are {clips['label'][0]!r}: there is nothing to tell "
            f"apart; tested on {split.description}"
        )


def official_folds(clips: pl.DataFrame) -> list[int]:
    """The folds that a pool's caches have, where they have any. Raises UserError where they have different ones."""
    numbers = [fold_numbers(part) for part in clips.partition_by("cache", maintain_order=True)]
    different = sorted({tuple(own) for own in numbers if own})
    if len(different) > 1:
        raise UserError(f"the caches have different folds: {'; '.join(map(_listed, different))}")
    return list(different[0]) if different else []


def _refuse_what_no_cache_has(clips: pl.DataFrame, choice: SplitChoice) -> None:
    if choice.subject_folds:
        if clips["subject"].null_count() == len(clips):
            raise UserError(f"{len(clips)} clips of the cache have no subject: no folds of subjects")
    elif choice.fold is not None and not fold_numbers(clips):
        raise UserError(f"--fold {choice.fold}: the cache has no folds")


def _own_split(clips: pl.DataFrame, choice: SplitChoice, seed: int) -> Split | None:
    """How one cache is split; None where it offers nothing to split it by."""
    if choice.subject_folds and clips["subject"].is_not_null().any():
        return _by_subject_fold(clips, choice.subject_folds, choice.fold, seed)
    numbers = fold_numbers(clips)
    if choice.fold is not None and numbers and not choice.subject_folds:
        return _by_fold(clips, choice.fold)
    if clips["split"].is_not_null().any():
        return _by_official_split(clips)
    if numbers:
        raise UserError(f"{_name(clips)} has folds {_listed(numbers)}: choose one with --fold")
    return _by_holdout(clips, choice.holdout, seed) if choice.holdout > 0 else None


def _all_in_training(clips: pl.DataFrame) -> Split:
    return Split(train=clips, test=clips.clear(), description="all in training, it has no such split")


def _joined(parts: Sequence[pl.DataFrame], splits: Sequence[Split]) -> Split:
    """The splits of several caches as one; that of a single cache as it is. parts: each one's clips."""
    if len(splits) == 1:
        return splits[0]
    described = [f"{_name(part)}: {split.description}" for part, split in zip(parts, splits, strict=True)]
    return Split(
        train=pl.concat([split.train for split in splits]),
        test=pl.concat([split.test for split in splits]),
        description="; ".join(described),
        held_out=any(split.held_out for split in splits),
    )


def _unused(clips: pl.DataFrame, unlabelled: int, split: Split) -> list[str]:
    """Which clips are neither trained on nor judged. clips: the labelled ones."""
    kinds = [f"{unlabelled} without a label"] if unlabelled else []
    used = pl.concat([split.train["clip_id"], split.test["clip_id"]])
    idle = clips.filter(~pl.col("clip_id").is_in(used.implode()))
    for part, count in idle["split"].value_counts(sort=True).sort("split").iter_rows():
        kinds.append(f"{count} of no split or fold" if part is None else f"{count} of the split {part}")
    return [f"clips neither trained on nor judged: {', '.join(kinds)}"] if kinds else []


def _never_shown(split: Split) -> list[str]:
    """Classes that are judged and that no usable training clip shows."""
    shown = usable(split.train)["label"]
    strange = split.test.filter(~pl.col("label").is_in(shown.implode()))["label"]
    counts = [
        f"{label} ({counted(count, 'test clip')})"
        for label, count in strange.value_counts().sort("label").iter_rows()
    ]
    return [f"warning: classes without a usable training clip: {', '.join(counts)}"] if counts else []


def _name(clips: pl.DataFrame) -> str:
    """What to call the cache of these clips: by its dataset, where it is one of several."""
    return clips["dataset"][0] if "dataset" in clips.columns else "the cache"


def _by_fold(clips: pl.DataFrame, fold: int) -> Split:
    numbers = fold_numbers(clips)
    if fold not in numbers:
        raise UserError(f"--fold {fold}: {_name(clips)} has {_listed(numbers)}")
    train, test = clips.filter(is_trained(fold)), clips.filter(is_tested(fold))
    return Split(train=train, test=test, description=f"fold {fold}")


def _by_subject_fold(clips: pl.DataFrame, folds: int, fold: int | None, seed: int) -> Split:
    """Subjects dealt in random order, those with most clips first, each to the fold with the fewest clips."""
    if clips["subject"].null_count():
        raise UserError(
            f"{clips['subject'].null_count()} clips of {_name(clips)} have no subject: no folds of subjects"
        )
    counts = clips["subject"].value_counts().sort("subject").sample(fraction=1, shuffle=True, seed=seed)
    if len(counts) < 2:
        raise UserError(
            f"subject:{folds}: {_name(clips)} has a single subject; there are no folds of subjects"
        )
    if not 2 <= folds <= len(counts):
        raise UserError(
            f"subject:{folds}: between 2 and {len(counts)} folds, {_name(clips)} has that many subjects"
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
    judged = next((name for name in ("test", "val") if (clips["split"] == name).any()), None)
    return Split(
        train=clips.filter(pl.col("split") == "train"),
        test=clips.filter(pl.col("split") == judged) if judged else clips.clear(),
        description=f"the dataset's own {judged or 'train'} split",
        official=True,
    )


def _by_holdout(clips: pl.DataFrame, holdout: float, seed: int) -> Split:
    random = np.random.default_rng(seed)
    subjects = clips["subject"].unique().sort().to_numpy()
    if len(subjects) > 1 and clips["subject"].is_not_null().all():
        count = max(1, round(holdout * len(subjects)))
        apart = random.permutation(subjects)[:count].tolist()
        test, description = pl.col("subject").is_in(apart), f"{count} of {len(subjects)} subjects kept apart"
    else:
        ids, passed = [], 0
        for label in clips["label"].unique().sort():
            of_label = clips.filter(pl.col("label") == label)["clip_id"].sort().to_numpy()
            passed += len(of_label)
            # Its share of the clips so far: of labels with few clips each, rounded one by one, none would be apart.
            count = min(len(of_label), max(0, round(holdout * passed) - len(ids)))
            ids += random.permutation(of_label)[:count].tolist()
        test, description = pl.col("clip_id").is_in(ids), f"{len(ids)} of {len(clips)} clips kept apart"
    return Split(train=clips.filter(~test), test=clips.filter(test), description=description, held_out=True)


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
