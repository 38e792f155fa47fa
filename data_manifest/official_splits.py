"""Entries of split and fold lists to one row a clip: duplicates, contradictions, and folds that are no partition."""

from collections.abc import Sequence

import polars as pl

from dfer.data_manifest.labels import meanings
from dfer.data_manifest.problems import Problem, problem, sentence
from dfer.schemas.support.errors import UserError

TRAIN, VAL, TEST = "train", "val", "test"
PARTS = {
    "train": TRAIN,
    "training": TRAIN,
    "val": VAL,
    "valid": VAL,
    "validation": VAL,
    "dev": VAL,
    "test": TEST,
    "testing": TEST,
}

FOLDS_SCHEMA = pl.Schema(
    {"fold": pl.Int32, "test_folds": pl.List(pl.Int32), "train_folds": pl.List(pl.Int32)}
)


def one_row_a_clip(entries: pl.DataFrame) -> tuple[pl.DataFrame, list[Problem]]:
    """Entries (clip_id, label, part, fold, file, line, and what else a clip has) to one row a clip.

    part: train, val or test (in folds val is judged as test is); fold: the fold whose list the entry is from, null
    where there are none. The rows have `split`, or `fold`, `test_folds` and `train_folds`, as in MANIFEST_SCHEMA.
    Raises UserError where a clip is in two parts of one fold (or of the only split), or has two labels.
    """
    key = ["clip_id", "fold", "part"]
    entries = entries.with_columns(pl.col("fold").cast(pl.Int32))
    refuse_contradictions(entries)
    single = entries.unique(key, keep="first", maintain_order=True)
    repeated = entries.join(single, on=["file", "line"], how="anti")
    doubled = problem("duplicate", "rows say again what another said; they are left out", repeated["clip_id"])
    clips = single.unique("clip_id", keep="first", maintain_order=True)
    numbers = single["fold"].drop_nulls().unique().sort().to_list()
    if len(numbers) < 2:  # one fold alone is a split like any other
        alone = _of_one_fold(len(clips), *numbers) if numbers else []
        return clips.rename({"part": "split"}).drop("fold", "file", "line"), [*doubled, *alone]
    folds, irregular = _folds(single, numbers)
    rows = clips.drop("part", "fold", "file", "line").join(folds, on="clip_id", maintain_order="left")
    return rows, [*doubled, *irregular]


def _of_one_fold(clips: int, fold: int) -> list[Problem]:
    text = sentence(
        clips, f"clips are from the lists of fold {fold}, and no other fold has any: read as a split"
    )
    return [Problem(kind="folds", count=clips, text=text if clips == 1 else f"all {text}")]


def refuse_contradictions(entries: pl.DataFrame) -> None:
    """Raise UserError where entries put a clip into two parts of one fold, or give it two labels.

    Labels that differ only in how they are written (happy, Happiness) are one.
    """
    in_two = "is in both {} and {}"
    refuse_two(entries, "part", said=in_two, advice="take it out of one", of=("clip_id", "fold"))
    refuse_two(entries, "label", meaning=meanings(pl.col("label")))


def refuse_two(
    entries: pl.DataFrame,
    column: str,
    *,
    meaning: pl.Expr | None = None,
    said: str = "",
    advice: str = "keep the right one",
    of: Sequence[str] = ("clip_id",),
) -> None:
    """Raise UserError, with both lines, where entries of a clip (`of`) have two values in a column, or one and none.

    meaning: what is compared, where that is not the column as it is written.
    """
    meant = entries.with_columns(_meaning=pl.col(column) if meaning is None else meaning)
    differ = meant.filter(pl.col("_meaning").n_unique().over(of) > 1)
    if differ.is_empty():
        return
    first = differ.head(1)
    same = differ.filter(pl.col(name).eq_missing(first[name][0]) for name in of)
    pair = same.unique("_meaning", keep="first", maintain_order=True).head(2).rows(named=True)
    one, other = sorted((row[column] for row in pair), key=lambda value: value is None)
    if other is None:
        said = f"has the {column} {{}} and no {column}"
    many = f"{column.removesuffix('y')}ies" if column.endswith("y") else f"{column}s"
    said = (said or f"has the {many} {{}} and {{}}").format(one, other)
    fold = first["fold"][0]
    of_fold = f" of fold {fold}" if "fold" in of and fold is not None else ""
    where = [f"{row['file']}, line {row['line']}" for row in pair]
    clip = first["clip_id"][0]
    raise UserError(f"{where[0]}: clip {clip} {said}{of_fold} (also {where[1]}); {advice}")


def _folds(single: pl.DataFrame, numbers: Sequence[int]) -> tuple[pl.DataFrame, list[Problem]]:
    """clip_id and FOLDS_SCHEMA: `fold` where a clip is tested once and else trained on, the lists where not."""
    trained = pl.col("part") == TRAIN
    lists = single.group_by("clip_id", maintain_order=True).agg(
        test_folds=pl.col("fold").filter(~trained).sort(), train_folds=pl.col("fold").filter(trained).sort()
    )
    times, others = pl.col("test_folds").list.len(), pl.col("train_folds").list.len()
    # No clip is in both parts of a fold, so these counts alone say that every fold has it.
    regular = (times == 1) & (others == len(numbers) - 1)
    odd = lists.filter(~regular)
    counts = {
        "tested in several folds": odd.filter(times > 1),
        "tested in no fold": odd.filter(times == 0),
        "tested once but not trained on in all other folds": odd.filter(times == 1),
    }
    problems = [
        p
        for text, part in counts.items()
        for p in problem(
            "folds", f"of {len(lists)} clips are {text}: the folds are not a partition", part["clip_id"]
        )
    ]
    exact = pl.when(~regular)
    return lists.select(
        "clip_id",
        fold=pl.when(regular).then(pl.col("test_folds").list.first()),
        test_folds=exact.then("test_folds"),
        train_folds=exact.then("train_folds"),
    ), problems
