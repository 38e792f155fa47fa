"""What a table's `fold` and `split` columns mean, and one row per clip if a path has several rows.

With one row per clip, `fold` is the fold that tests it, and `split` is independent of that. In the long form, one row
per clip and fold, `split` is the part that the clip has in that fold. A table is in long form if a path has rows with
different splits; or if a row with a fold says train, and a path is in several folds or the table has only one fold.
"""

from pathlib import Path

import polars as pl

from dfer.data_manifest.official_splits import TEST, TRAIN, one_row_per_clip, refuse_two_values
from dfer.data_manifest.problems import Problem, report
from dfer.schemas.support.errors import UserError

FOLD_LISTS = ("test_folds", "train_folds")
SAME_FOR_A_CLIP = ("subject", "scene", "scene_group", "intensity")


def one_row_per_path(rows: pl.DataFrame, file: Path) -> tuple[pl.DataFrame, list[Problem]]:
    """Merge rows (path, label, split, fold, line, …) of one path; `fold` becomes as MANIFEST_SCHEMA has it.

    Raises UserError if rows of one clip contradict each other, or a fold of a long form tests nothing.
    """
    repeated, in_fold = rows["path"].is_duplicated(), pl.col("fold").is_not_null()
    is_long = _is_long(rows.filter(in_fold))
    if not (is_long or repeated.any()):
        return rows, _fold_and_split(rows)
    several = _as_entries(rows.filter(repeated), file)
    _refuse_contradictions(several)
    if is_long:
        lone = rows.filter(~repeated, ~in_fold)
        folded, problems = _long_form(_as_entries(rows.filter(in_fold), file))
    else:
        lone = rows.filter(~repeated)
        folded, problems = _tested_in_each(several.filter(in_fold), rows)
        problems += _fold_and_split(rows)
    again, duplicates = one_row_per_clip(several.filter(~in_fold).drop("split", *FOLD_LISTS))
    return pl.concat(_like(part, rows) for part in (lone, folded, again)), [*duplicates, *problems]


def _is_long(folded: pl.DataFrame) -> bool:
    """Whether the rows with a fold are in long form."""
    if folded["split"].null_count() == len(folded):
        return False
    repeated = folded.filter(pl.col("path").is_duplicated())
    if len(repeated.filter(pl.col("split").n_unique().over("path") > 1)):
        return True
    in_several = len(repeated.filter(pl.col("fold").n_unique().over("path") > 1)) > 0
    return (folded["split"] == TRAIN).any() and (in_several or folded["fold"].n_unique() == 1)


def _fold_and_split(rows: pl.DataFrame) -> list[Problem]:
    """Report how a fold and the split train in one row are read: they could be meant as the long form."""
    both = rows.filter(pl.col("fold").is_not_null(), pl.col("split").is_not_null())
    if not (both["split"] == TRAIN).any():
        return []
    text = "clips with a fold and a split in one row, read independently (the fold is the one that tests the clip)"
    return report("folds", text, both["path"])


def _as_entries(rows: pl.DataFrame, file: Path) -> pl.DataFrame:
    """Rows as `official_splits` expects them."""
    return rows.with_columns(file=pl.lit(str(file)), part=pl.col("split"))


def _refuse_contradictions(several: pl.DataFrame) -> None:
    """Raise UserError if rows of one clip differ in the clip's own columns, or only some of them have a fold."""
    for column in SAME_FOR_A_CLIP:
        refuse_two_values(several, column)
    if "votes" in several.columns:
        written = pl.col("votes").list.eval(pl.element().cast(pl.String)).list.join(" ")
        refuse_two_values(several, "votes", key=written)
    refuse_two_values(
        several, "fold", key=pl.col("fold").is_null(), advice="give all of its rows a fold, or none"
    )
    listed = several.filter(pl.any_horizontal(pl.col(FOLD_LISTS).is_not_null()))
    if len(listed):
        clip, file, line = listed.select("path", "file", "line").row(0)
        raise UserError(f"{file}, line {line}: clip {clip} has lists of folds and a second row; keep one")


def _long_form(entries: pl.DataFrame) -> tuple[pl.DataFrame, list[Problem]]:
    """One row per clip from one row per clip and fold."""
    without = entries.filter(pl.col("part").is_null())
    if len(without):
        clip, fold, file, line = without.select("path", "fold", "file", "line").row(0)
        raise UserError(f"{file}, line {line}: clip {clip} has no split in fold {fold}, others have; add it")
    clips, problems = one_row_per_clip(entries.drop("split", *FOLD_LISTS))
    _refuse_untested(entries)
    return clips, problems


def _refuse_untested(entries: pl.DataFrame) -> None:
    """Raise UserError for a fold that only trains: a row is missing, or `fold` meant the fold that tests a clip."""
    tested = entries.filter(pl.col("part") != TRAIN)
    untested = entries.join(tested, on="fold", how="anti")
    if len(untested) and entries["fold"].n_unique() > 1:
        fold, file, line = untested.select("fold", "file", "line").row(0)
        raise UserError(
            f"{file}, line {line}: fold {fold} has train rows but no test row; add a row for each clip it tests, or "
            "drop the column split if fold is the one that tests a clip"
        )


def _tested_in_each(folded: pl.DataFrame, rows: pl.DataFrame) -> tuple[pl.DataFrame, list[Problem]]:
    """A path with several folds is tested in each of them, and trained on in the table's other folds."""
    if folded.is_empty():
        return folded, []
    one_row_per_clip(folded.drop("split").with_columns(part=pl.lit(TEST)))  # refuses two labels
    single = folded.unique(["path", "fold"], keep="first", maintain_order=True).sort("fold")
    folds = single.group_by("path").agg(test_folds="fold").filter(pl.col("test_folds").list.len() > 1)
    every = rows.select(every=pl.col("fold").drop_nulls().unique().sort().implode())
    others = pl.col("every").list.set_difference("test_folds").list.sort()
    folds = folds.join(every, how="cross").select("path", "test_folds", train_folds=others)
    first = folded.unique("path", keep="first", maintain_order=True).drop(FOLD_LISTS)
    clips = first.join(folds, on="path", how="left", maintain_order="left")
    in_several = clips.filter(pl.col("test_folds").is_not_null())["path"]
    equal = folded.join(single, on="line", how="anti")["path"].unique().sort()
    clips = clips.with_columns(fold=pl.when(pl.col("test_folds").is_null()).then("fold"))
    text = "tested in several folds (the folds are not a partition)"
    return clips, [
        *report("duplicate", "clips listed again with the same fold, repeats ignored", equal),
        *report("folds", text, in_several, total=rows["path"].n_unique()),
    ]


def _like(rows: pl.DataFrame, model: pl.DataFrame) -> pl.DataFrame:
    """Rows with another table's columns, in its order."""
    absent = [
        pl.lit(None, kind).alias(name) for name, kind in model.schema.items() if name not in rows.columns
    ]
    return rows.with_columns(absent).select(model.columns)
