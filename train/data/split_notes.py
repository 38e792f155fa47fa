"""What a person should know about the two parts of a split, one line each."""

import polars as pl

from dfer.schemas.support.text import counted
from dfer.train.data.caches import usable, with_label


def unused(clips: pl.DataFrame, left_out: pl.DataFrame, train: pl.DataFrame, test: pl.DataFrame) -> list[str]:
    """Note which clips are in neither part. clips: those that could be; left_out: the others, without a label."""
    used = pl.concat([train["clip_id"], test["clip_id"]])
    idle = clips.filter(~pl.col("clip_id").is_in(used.implode()))
    unlabelled, chosen = len(left_out) + idle["label"].null_count(), left_out["votes"].count()
    advice = (
        f" ({chosen} of them with votes: `train run --soft-labels` trains on those that are not tested)"
        if chosen
        else ""
    )
    kinds = [f"{unlabelled} without a label{advice}"] if unlabelled else []
    idle = with_label(idle)
    for part, count in idle["split"].value_counts(sort=True).sort("split").iter_rows():
        kinds.append(f"{count} in no split or fold" if part is None else f"{count} in the split {part}")
    return [f"clips that are neither trained on nor tested: {', '.join(kinds)}"] if kinds else []


def voted(train: pl.DataFrame) -> list[str]:
    """Note how many training clips have votes, and how many no label."""
    clips = usable(train)
    chosen, unlabelled = clips["votes"].count(), clips["label"].null_count()
    others = f"; {len(clips) - chosen} without votes, which use their label" if chosen < len(clips) else ""
    return [
        f"soft labels: {counted(chosen, 'training clip')} with votes, {unlabelled} of them without a majority, which "
        f"are trained on but count in no figure{others}"
    ]


def foldless(clips: pl.DataFrame, where: str) -> str:
    """Say that caches have no folds, and what to do instead of --fold. where: their folders"""
    if clips["split"].is_not_null().any():
        return f"no folds in {where} but a split; leave --fold out"
    return (
        f"no folds in {where}; leave --fold out, set clips apart with --holdout 0.2, or draw folds with "
        f"--folds {drawn_folds(clips)} (`train crossval`, `train baseline`)"
    )


def drawn_folds(clips: pl.DataFrame) -> str:
    """What to give to --folds for clips without folds."""
    subjects = clips["subject"].drop_nulls().n_unique()
    return f"subject:{min(subjects, 5)}" if subjects > 1 else "clips:5"


def untrained_classes(train: pl.DataFrame, test: pl.DataFrame) -> list[str]:
    """Warn about tested classes without a usable training clip."""
    trained = usable(train)["label"]
    missing = test.filter(~pl.col("label").is_in(trained.implode()))["label"]
    counts = [
        f"{label} ({counted(count, 'test clip')})"
        for label, count in missing.value_counts().sort("label").iter_rows()
    ]
    return [f"warning: classes without a usable training clip: {', '.join(counts)}"] if counts else []
