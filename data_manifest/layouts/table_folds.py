"""Rows of a table to one row a clip, where a path occurs more than once: again, in several folds, or a row a fold.

What `fold` means is settled here. In a row a clip it is the fold that tests the clip, and `split` stands on its
own. In the long form, a row per clip and fold, `split` is the part that the clip has in that fold. A table is
of the long form where a path has rows with different splits; and where a row with a fold says train, and a path
is in several folds or the table has one fold alone.
"""

from pathlib import Path

import polars as pl

from dfer.data_manifest.official_splits import TEST, TRAIN, one_row_a_clip, refuse_two
from dfer.data_manifest.problems import Problem, problem
from dfer.schemas.support.errors import UserError

LISTS = ("test_folds", "train_folds")
OF_A_CLIP = ("subject", "scene", "scene_group", "intensity")  # what all rows of a clip must say alike


def one_row_a_path(rows: pl.DataFrame, file: Path) -> tuple[pl.DataFrame, list[Problem]]:
    """Rows (path, label, split, fold, line, …) to one row a path; `fold` as MANIFEST_SCHEMA has it.

    Raises UserError where rows of one clip contradict each other, or a long form tests nothing in one of its folds.
    """
    twice, in_fold = rows["path"].is_duplicated(), pl.col("fold").is_not_null()
    long = _is_long(rows.filter(in_fold))
    if not (long or twice.any()):
        return rows, _with_both(rows)
    doubled = _entries(rows.filter(twice), file)
    _refuse_unlike(doubled)
    if long:
        lone = rows.filter(~twice, ~in_fold)
        folded, problems = _by_part(_entries(rows.filter(in_fold), file))
    else:
        lone = rows.filter(~twice)
        folded, problems = _tested_in_each(doubled.filter(in_fold), rows)
        problems += _with_both(rows)
    again, said_again = one_row_a_clip(doubled.filter(~in_fold).drop("split", *LISTS))
    return pl.concat(_like(part, rows) for part in (lone, folded, again)), [*said_again, *problems]


def _is_long(folded: pl.DataFrame) -> bool:
    """Whether rows with a fold are of the long form."""
    if folded["split"].null_count() == len(folded):
        return False
    twice = folded.filter(pl.col("path").is_duplicated())
    if len(twice.filter(pl.col("split").n_unique().over("path") > 1)):
        return True
    several = len(twice.filter(pl.col("fold").n_unique().over("path") > 1)) > 0
    return (folded["split"] == TRAIN).any() and (several or folded["fold"].n_unique() == 1)


def _with_both(rows: pl.DataFrame) -> list[Problem]:
    """In a row a clip, a fold and the split train beside it could be meant as the long form; so it is said."""
    both = rows.filter(pl.col("fold").is_not_null(), pl.col("split").is_not_null())
    if not (both["split"] == TRAIN).any():
        return []
    text = (
        "clips have a fold and a split in one row: the fold is read as the one that tests it, the split alone"
    )
    return problem("folds", text, both["path"])


def _entries(rows: pl.DataFrame, file: Path) -> pl.DataFrame:
    """Rows as `one_row_a_clip` and `refuse_two` want them."""
    return rows.with_columns(file=pl.lit(str(file)), part=pl.col("split"))


def _refuse_unlike(doubled: pl.DataFrame) -> None:
    """Raise UserError where rows of one clip differ in what is the clip's, or only some of them have a fold."""
    for column in OF_A_CLIP:
        refuse_two(doubled, column)
    refuse_two(
        doubled, "fold", meaning=pl.col("fold").is_null(), advice="give all of its rows a fold, or none"
    )
    listed = doubled.filter(pl.any_horizontal(pl.col(LISTS).is_not_null()))
    if len(listed):
        clip, file, line = listed.select("path", "file", "line").row(0)
        raise UserError(f"{file}, line {line}: clip {clip} has lists of folds and a second row; keep one")


def _by_part(entries: pl.DataFrame) -> tuple[pl.DataFrame, list[Problem]]:
    """The long form, a row per clip and fold: `split` is the part that the clip has in that fold."""
    unsaid = entries.filter(pl.col("part").is_null())
    if len(unsaid):
        clip, fold, file, line = unsaid.select("path", "fold", "file", "line").row(0)
        raise UserError(
            f"{file}, line {line}: clip {clip} has no split in fold {fold}, and others do; fill it in"
        )
    clips, problems = one_row_a_clip(entries.drop("split", *LISTS))
    _refuse_untested(entries)
    return clips, problems


def _refuse_untested(entries: pl.DataFrame) -> None:
    """A fold that only trains is half a long form, or `fold` was meant as the one that tests a clip."""
    judged = entries.filter(pl.col("part") != TRAIN)
    untested = entries.join(judged, on="fold", how="anti")
    if len(untested) and entries["fold"].n_unique() > 1:
        fold, file, line = untested.select("fold", "file", "line").row(0)
        raise UserError(
            f"{file}, line {line}: fold {fold} has train rows and no test row; add a row for each clip it tests, "
            "or leave out the column split if fold is the one that tests a clip"
        )


def _tested_in_each(folded: pl.DataFrame, rows: pl.DataFrame) -> tuple[pl.DataFrame, list[Problem]]:
    """A path with several folds is tested in each of them, and trained on in the rest of the table's folds."""
    if folded.is_empty():
        return folded, []
    one_row_a_clip(folded.drop("split").with_columns(part=pl.lit(TEST)))  # refuses two labels
    single = folded.unique(["path", "fold"], keep="first", maintain_order=True).sort("fold")
    folds = single.group_by("path").agg(test_folds="fold").filter(pl.col("test_folds").list.len() > 1)
    every = rows.select(every=pl.col("fold").drop_nulls().unique().sort().implode())
    others = pl.col("every").list.set_difference("test_folds").list.sort()
    folds = folds.join(every, how="cross").select("path", "test_folds", train_folds=others)
    first = folded.unique("path", keep="first", maintain_order=True).drop(LISTS)
    clips = first.join(folds, on="path", how="left", maintain_order="left")
    odd = clips.filter(pl.col("test_folds").is_not_null())["path"]
    equal = folded.join(single, on="line", how="anti")["path"].unique().sort()
    clips = clips.with_columns(fold=pl.when(pl.col("test_folds").is_null()).then("fold"))
    text = f"of {rows['path'].n_unique()} clips are tested in several folds: the folds are not a partition"
    return clips, [
        *problem("duplicate", "clips are listed again with the same fold; the rows are left out", equal),
        *problem("folds", text, odd),
    ]


def _like(rows: pl.DataFrame, model: pl.DataFrame) -> pl.DataFrame:
    """Rows with another table's columns, in its order."""
    absent = [
        pl.lit(None, kind).alias(name) for name, kind in model.schema.items() if name not in rows.columns
    ]
    return rows.with_columns(absent).select(model.columns)
