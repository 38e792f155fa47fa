"""Official splits and folds: the entries of a dataset's lists become one row per clip."""

from collections.abc import Sequence

import polars as pl

from dfer.data_manifest.labels import meanings
from dfer.data_manifest.problems import Problem, report
from dfer.schemas.support.errors import UserError

TRAIN, VAL, TEST = "train", "val", "test"
# Names of folders, files and cells for each split, in lower case.
SPLIT_NAMES = {
    "train": TRAIN,
    "training": TRAIN,
    "val": VAL,
    "valid": VAL,
    "validation": VAL,
    "dev": VAL,
    "test": TEST,
    "testing": TEST,
}


def one_row_per_clip(entries: pl.DataFrame) -> tuple[pl.DataFrame, list[Problem]]:
    """Merge a clip's list entries into one row.

    entries: clip_id, label, part (train, val or test; val counts as test in a fold), fold (whose list it is; null
        without folds), file, line, and any other columns of a clip

    Returns rows with `split`, or with `fold`, `test_folds` and `train_folds` as in MANIFEST_SCHEMA; and repeated
    entries and irregular folds as problems.
    Raises UserError if a clip is in two parts of one fold (or of the only split), or has two labels.
    """
    entries = entries.with_columns(pl.col("fold").cast(pl.Int32))
    refuse_two_values(entries, "part", per=("clip_id", "fold"), advice="remove it from one")
    refuse_two_values(entries, "label", key=meanings(pl.col("label")))
    single = entries.unique(["clip_id", "fold", "part"], keep="first", maintain_order=True)
    repeated = entries.join(single, on=["file", "line"], how="anti")
    problems = report("duplicate", "repeated list entries, ignored", repeated["clip_id"])
    clips = single.unique("clip_id", keep="first", maintain_order=True)
    numbers = single["fold"].drop_nulls().unique().sort().to_list()
    if len(numbers) < 2:
        if numbers:
            text = f"clips of fold {numbers[0]}, the only one with lists, read as a split"
            problems.append(Problem(kind="folds", text=text, count=len(clips)))
        return clips.rename({"part": "split"}).drop("fold", "file", "line"), problems
    folds, irregular = _folds(single, numbers)
    rows = clips.drop("part", "fold", "file", "line").join(folds, on="clip_id", maintain_order="left")
    return rows, [*problems, *irregular]


def refuse_two_values(
    entries: pl.DataFrame,
    column: str,
    *,
    per: Sequence[str] = ("clip_id",),
    key: pl.Expr | None = None,
    advice: str = "keep the right one",
) -> None:
    """Raise UserError, naming both lines, if entries of one clip differ in a column, or only some have a value.

    per: columns whose entries must agree
    key: what is compared [default: the column as written]
    advice: what to do, for the error
    """
    keyed = entries.with_columns(_key=pl.col(column) if key is None else key)
    differ = keyed.filter(pl.col("_key").n_unique().over(per) > 1)
    if differ.is_empty():
        return
    first = differ.row(0, named=True)
    same = differ.filter(pl.col(name).eq_missing(first[name]) for name in per)
    pair = same.unique("_key", keep="first", maintain_order=True).head(2).rows(named=True)
    one, other = sorted((row[column] for row in pair), key=lambda value: value is None)
    found = f"has {column} {one} and {f'no {column}' if other is None else f'{column} {other}'}"
    if column == "part":
        fold = first["fold"]
        found = f"is in both {one} and {other}{'' if fold is None else f' of fold {fold}'}"
    where = [f"{row['file']}, line {row['line']}" for row in pair]
    raise UserError(f"{where[0]}: clip {first['clip_id']} {found} (also {where[1]}); {advice}")


def _folds(single: pl.DataFrame, numbers: Sequence[int]) -> tuple[pl.DataFrame, list[Problem]]:
    """Columns clip_id, fold, test_folds, train_folds.

    A clip that one fold tests and all others train on has `fold`; any other clip has the two lists.
    """
    trained = pl.col("part") == TRAIN
    lists = single.group_by("clip_id", maintain_order=True).agg(
        test_folds=pl.col("fold").filter(~trained).sort(), train_folds=pl.col("fold").filter(trained).sort()
    )
    tests, trainings = pl.col("test_folds").list.len(), pl.col("train_folds").list.len()
    # No clip is in both parts of a fold, so these counts mean that it is in every fold.
    regular = (tests == 1) & (trainings == len(numbers) - 1)
    odd = lists.filter(~regular)
    kinds = {
        "tested in several folds": odd.filter(tests > 1),
        "tested in no fold": odd.filter(tests == 0),
        "tested once but not trained on in all other folds": odd.filter(tests == 1),
    }
    problems = [
        problem
        for text, part in kinds.items()
        for problem in report(
            "folds", f"{text} (the folds are not a partition)", part["clip_id"], total=len(lists)
        )
    ]
    irregular = pl.when(~regular)
    return lists.select(
        "clip_id",
        fold=pl.when(regular).then(pl.col("test_folds").list.first()),
        test_folds=irregular.then("test_folds"),
        train_folds=irregular.then("train_folds"),
    ), problems
