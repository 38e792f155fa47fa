"""Choose which clips are trained on and which are tested.

A cache is split by the fold asked for, else by its dataset's own split, else by setting a share apart (`holdout`).
With none of these all its clips are trained on; if that is so for every cache, they are tested on too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from dfer.schemas.manifest import fold_numbers, is_tested, is_trained
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.text import counted
from dfer.train.data.caches import usable, with_label
from dfer.train.data.leaks import between_parts, shared_subjects
from dfer.train.data.split_notes import foldless, untrained_classes, unused, voted


@dataclass(frozen=True, kw_only=True)
class Split:
    """Two parts of a clips table, both with their unusable clips.

    description: how they were chosen, in words
    seen: whether the test part is the training part, so that its figures say nothing about new clips
    official: whether it is a single dataset's own split
    held_out: whether a share of a cache without a split was set apart
    votes: whether it was chosen for training on votes; then training clips may have votes and no label
    notes: what a person should know before trusting the figures, one line each
    """

    train: pl.DataFrame
    test: pl.DataFrame
    description: str
    seen: bool = False
    official: bool = False
    held_out: bool = False
    votes: bool = False
    notes: tuple[str, ...] = ()

    @property
    def protocol(self) -> str:
        """How it was tested, in the words of published results where they have any."""
        return "official split" if self.official else self.description


@dataclass(frozen=True, kw_only=True)
class SplitChoice:
    """The split that is asked for.

    fold: which fold to test on
    subject_folds, clip_folds: how many folds to divide subjects or clips into; both 0: the dataset's own folds
    holdout: share of subjects (or clips) to test on where there is no split, or only training clips in it
    """

    fold: int | None = None
    subject_folds: int = 0
    clip_folds: int = 0
    holdout: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.holdout <= 0.9:
            raise UserError(f"--holdout {self.holdout}: must be between 0 and 0.9")

    @property
    def drawn_folds(self) -> str | None:
        """Folds that are drawn, in words; None if they are the dataset's own."""
        if self.subject_folds:
            return f"{self.subject_folds} folds of subjects"
        return f"{self.clip_folds} folds of clips" if self.clip_folds else None

    @property
    def words(self) -> str:
        if self.drawn_folds:
            return f"fold {self.fold} of {self.drawn_folds}"
        parts = [f"fold {self.fold}"] if self.fold is not None else []
        parts += [f"a holdout of {self.holdout:g}"] if self.holdout else []
        return " and ".join(parts) or "no fold and no holdout"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "SplitChoice":
        """Restore from `as_dict`. Raises ValueError or TypeError for anything else."""
        choice = cls(**content)
        counts = (choice.subject_folds, choice.clip_folds)
        if not isinstance(choice.fold, int | None) or not all(isinstance(count, int) for count in counts):
            raise ValueError("folds are numbers")
        return choice


def choose_split(
    clips: pl.DataFrame, choice: SplitChoice, seed: int, *, where: str = "the cache", votes: bool = False
) -> Split:
    """Split a pool's labelled clips, cache by cache.

    A holdout sets subjects apart if a cache names at least two, else the same share of every label's clips.

    clips: a pool's table
    seed: decides the holdout and the folds of subjects or clips
    where: the caches, for messages
    votes: whether clips with votes but no label are trained on too; the test clips are the same in both cases

    Raises UserError if no cache has the fold, a cache has folds and none is chosen, a part is empty, or a test clip
    is a training clip of another cache.
    """
    used = pl.col("label").is_not_null() | (pl.lit(votes) & pl.col("votes").is_not_null())
    left_out, clips = clips.filter(~used), clips.filter(used)
    if clips["label"].is_null().all():
        raise UserError(f"no clip in {where} has a label; extract a folder per class, or a labelled table")
    _require_folds(clips, choice, where)
    parts = clips.partition_by("cache", maintain_order=True)
    found = [_own_split(part, choice, seed) for part in parts]
    if not any(found):
        description = "the training clips themselves (the cache has no split; --holdout sets some apart)"
        test = with_label(clips)
        notes = (*unused(clips, left_out, clips, test), *(voted(clips) if votes else ()))
        return Split(train=clips, test=test, description=description, seen=True, votes=votes, notes=notes)
    split = _joined(parts, [own or _all_in_training(part) for own, part in zip(found, parts, strict=True)])
    if choice.holdout and split.test.is_empty() and len(split.train):
        parts = split.train.partition_by(
            "cache", maintain_order=True
        )  # of datasets that give no labels for testing
        split = _joined(parts, [_by_holdout(part, choice.holdout, seed) for part in parts])
    split = replace(split, test=with_label(split.test), votes=votes)
    if split.train.is_empty() or split.test.is_empty():
        counts = f"{len(split.train)} training and {len(split.test)} test clips"
        raise UserError(
            f"{split.description}: {counts}, but both are needed; fix the dataset's split, or choose another "
            "--fold or --holdout"
        )
    notes = (
        *unused(clips, left_out, split.train, split.test),
        *(voted(split.train) if votes else ()),
        *untrained_classes(split.train, split.test),
        *shared_subjects(split.train, split.test),
        *between_parts(split.train, split.test),
    )
    return replace(split, notes=notes)


def require_trainable(split: Split, where: str) -> None:
    """Raise UserError unless the usable training clips have at least two classes. where: the caches, for messages."""
    clips = usable(split.train)
    if clips.is_empty():
        raise UserError(
            f"{where}: no usable clip among {counted(len(split.train), 'training clip')}; `pipeline report` shows why"
        )
    labelled = with_label(clips)
    if labelled.is_empty():
        raise UserError(f"{where}: no usable training clip has a label; at least two classes are needed")
    if labelled["label"].n_unique() < 2:
        raise UserError(
            f"{where}: all {len(labelled)} usable training clips are {labelled['label'][0]!r} (tested on "
            f"{split.description}); at least two classes are needed"
        )


def _require_folds(clips: pl.DataFrame, choice: SplitChoice, where: str) -> None:
    if choice.subject_folds:
        if clips["subject"].null_count() == len(clips):
            raise UserError(
                f"no subjects in {where}; folds of subjects need them, "
                f"--folds clips:{choice.subject_folds} does not"
            )
    elif choice.fold is not None and not choice.clip_folds and not fold_numbers(clips):
        raise UserError(f"--fold {choice.fold}: {foldless(clips, where)}")


def _own_split(clips: pl.DataFrame, choice: SplitChoice, seed: int) -> Split | None:
    """Split one cache; None if it offers nothing to split it by."""
    if choice.subject_folds and clips["subject"].is_not_null().any():
        return _by_subject_fold(clips, choice, seed)
    if choice.clip_folds:
        return _by_clip_fold(clips, choice, seed)
    numbers = fold_numbers(clips)
    if choice.fold is not None and numbers and not choice.subject_folds:
        return _by_fold(clips, choice.fold)
    if clips["split"].is_not_null().any():
        return _by_official_split(clips)
    if numbers:
        raise UserError(f"{_name(clips)} has folds {_listed(numbers)}; choose one with --fold")
    return _by_holdout(clips, choice.holdout, seed) if choice.holdout > 0 else None


def _all_in_training(clips: pl.DataFrame) -> Split:
    return Split(train=clips, test=clips.clear(), description="none, it has no such split")


def _joined(parts: Sequence[pl.DataFrame], splits: Sequence[Split]) -> Split:
    """Join the splits of several caches; a single one stays as it is. parts: each cache's clips."""
    if len(splits) == 1:
        return splits[0]
    described = [f"{_name(part)}: {split.description}" for part, split in zip(parts, splits, strict=True)]
    return Split(
        train=pl.concat([split.train for split in splits]),
        test=pl.concat([split.test for split in splits]),
        description="; ".join(described),
        held_out=any(split.held_out for split in splits),
    )


def _name(clips: pl.DataFrame) -> str:
    """Name the cache of these clips in a message: by its dataset if there are several caches."""
    return clips["dataset"][0] if "dataset" in clips.columns else "the cache"


def _by_fold(clips: pl.DataFrame, fold: int) -> Split:
    numbers = fold_numbers(clips)
    if fold not in numbers:
        raise UserError(f"--fold {fold}: {_name(clips)} has folds {_listed(numbers)}")
    train, test = clips.filter(is_trained(fold)), clips.filter(is_tested(fold))
    return Split(train=train, test=test, description=f"fold {fold}")


def _by_subject_fold(clips: pl.DataFrame, choice: SplitChoice, seed: int) -> Split:
    """Deal out subjects, most clips first and ties in random order, each to the fold with the fewest clips so far."""
    folds = choice.subject_folds
    subjects = with_label(clips)["subject"]
    if missing := subjects.null_count():
        raise UserError(
            f"{counted(missing, 'clip')} of {_name(clips)} without a subject; folds of subjects need one for each"
        )
    counts = subjects.value_counts().sort("subject").sample(fraction=1, shuffle=True, seed=seed)
    if len(counts) < folds:
        raise UserError(
            f"--folds subject:{folds}: {_name(clips)} has {counted(len(counts), 'subject')}; "
            "every fold needs at least one"
        )
    sizes, dealt = [0] * folds, {}
    for subject, count in counts.sort("count", descending=True, maintain_order=True).iter_rows():
        place = sizes.index(min(sizes))
        sizes[place] += count
        dealt[subject] = place + 1
    test = pl.col("subject").is_in([subject for subject, place in dealt.items() if place == choice.fold])
    return Split(train=clips.filter(~test), test=clips.filter(test), description=choice.words)


def _by_clip_fold(clips: pl.DataFrame, choice: SplitChoice, seed: int) -> Split:
    """Deal out clips in random order, label by label, to one fold after the other.

    So the folds differ by at most one clip, and by at most one of each label.
    """
    folds, labelled = choice.clip_folds, with_label(clips)
    if len(labelled) < folds:
        raise UserError(
            f"--folds clips:{folds}: {_name(clips)} has {counted(len(labelled), 'clip')} with a label; "
            "every fold needs at least one"
        )
    shuffled = labelled.sort("clip_id").sample(fraction=1, shuffle=True, seed=seed)
    dealt = shuffled.sort("label", maintain_order=True)["clip_id"].gather_every(folds, (choice.fold or 1) - 1)
    test = pl.col("clip_id").is_in(dealt.implode())
    return Split(train=clips.filter(~test), test=clips.filter(test), description=choice.words)


def _by_official_split(clips: pl.DataFrame) -> Split:
    tested = next((name for name in ("test", "val") if (with_label(clips)["split"] == name).any()), None)
    return Split(
        train=clips.filter(pl.col("split") == "train"),
        test=clips.filter(pl.col("split") == tested) if tested else clips.clear(),
        description=f"the dataset's own {tested or 'train'} split",
        official=True,
    )


def _by_holdout(clips: pl.DataFrame, holdout: float, seed: int) -> Split:
    random = np.random.default_rng(seed)
    labelled = with_label(clips)
    subjects = labelled["subject"].unique().sort().to_numpy()
    if len(subjects) > 1 and labelled["subject"].is_not_null().all():
        count = max(1, round(holdout * len(subjects)))
        apart = random.permutation(subjects)[:count].tolist()
        test = pl.col("subject").is_in(apart)
        description = f"{count} of {len(subjects)} subjects, drawn at random"
    else:
        ids, passed = [], 0
        for label in labelled["label"].unique().sort():
            of_label = labelled.filter(pl.col("label") == label)["clip_id"].sort().to_numpy()
            passed += len(of_label)
            # Its share of the clips so far: rounded label by label, labels with few clips would give none.
            count = min(len(of_label), max(0, round(holdout * passed) - len(ids)))
            ids += random.permutation(of_label)[:count].tolist()
        test = pl.col("clip_id").is_in(ids)
        description = f"{len(ids)} of {len(labelled)} clips, drawn at random"
    return Split(train=clips.filter(~test), test=clips.filter(test), description=description, held_out=True)


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
