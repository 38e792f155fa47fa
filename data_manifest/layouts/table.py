"""Any table of clips: CSV (UTF-8) or Parquet with `path` and `label`, and optional columns of the manifest.

Paths are absolute or relative to the table's folder. `fold` is the fold that tests a clip; the others train on it.
Or, with one row per clip and fold, `split` is the clip's part in that fold. What `pipeline manifest` writes is read
as it is (`stored_manifest`).
"""

import re
from collections.abc import Iterable
from pathlib import Path

import polars as pl

from dfer.data_manifest.csv_parquet import Cells, is_parquet, read_cells
from dfer.data_manifest.disk.common_root import WINDOWS_DRIVE, below_one_root
from dfer.data_manifest.disk.listed_clips import locate
from dfer.data_manifest.labels import match_labels, meaning, merge_spellings
from dfer.data_manifest.layouts.stored_manifest import read_manifest_file
from dfer.data_manifest.layouts.table_folds import FOLD_LISTS, one_row_per_path
from dfer.data_manifest.official_splits import SPLIT_NAMES
from dfer.data_manifest.problems import Problem, report
from dfer.data_manifest.reader import Options, Reader, Rows
from dfer.data_manifest.votes import add_votes
from dfer.schemas.manifest import MISSING
from dfer.schemas.support.errors import UserError

REQUIRED = ("path", "label")
OPTIONAL = ("split", "fold", "subject", "scene", "scene_group", "intensity")
VOTES = "votes_"  # and a class: the column of its votes
# What programs write into an empty cell, and the columns where it is taken for one.
EMPTY = r"^(?i:nan|none|null|na|n/a)$"
MAY_BE_EMPTY = ("label", "split", "fold", "subject")
LIST = pl.List(pl.Int32)
# What others call the required columns, in lower case.
OTHER_NAMES = {
    "path": re.compile(r"(file|clip|video)s?(_?(path|name|file|id))?|paths|name|folder|frames"),
    "label": re.compile(r"(emotion|class|expression|category|target)(_?(label|name|id))?s?|labels|y"),
}


def fits(root: Path) -> bool:
    return root.is_file() and root.suffix.lower() in (".csv", ".tsv", ".parquet")


def read(file: Path, _: Options) -> Rows:
    """Read one row per clip. Raises UserError, with file and line, if the table cannot be used."""
    if not fits(file):
        raise UserError(f"{file}: not a table; give a .csv or .parquet file with the columns path and label")
    if is_parquet(file) and (manifest := read_manifest_file(file)):
        return manifest
    cells = _columns(read_cells(file), file)
    if cells.is_empty():
        raise UserError(f"{file}: no clips in it; add rows")
    written, emptied = _without_words_for_empty(cells)
    _require(written, pl.col("path").is_not_null(), "no path", "path", file)
    drive = pl.col("path").str.contains(WINDOWS_DRIVE)
    _require(written, ~drive, "path {} starts with a Windows drive", "path", file)
    written = _with_parts(written, file)
    root, paths = below_one_root(written["path"], file.parent)
    paths = paths.str.normalize("NFC")  # one of Unicode's two forms; the disk may have the other
    rows = written.with_columns(path=paths, clip_id=paths)
    nowhere = pl.col("path").is_in(["", ".", ".."]) | pl.col("path").str.ends_with("/..")
    _require(rows, ~nowhere, "path {} is not a clip", "path", file)
    rows, tied, classes = _with_votes(rows, file)
    rows, doubled = one_row_per_path(rows, file)
    rows, merged = merge_spellings(rows)
    rows, located = locate(rows.drop("line"), root)
    _refuse_nothing_there(rows, root, file)
    problems = (*emptied, *tied, *doubled, *merged, *_partly_empty(rows), *located)
    return Rows(table=rows, problems=problems, root=root, labels=classes)


def _columns(cells: Cells, file: Path) -> pl.DataFrame:
    """The known columns, as text or lists of folds, null if empty or absent; and `line`."""
    names = [_column_name(written) for written in cells.names]
    votes = [name for name in names if name.startswith(VOTES) and name != VOTES]
    known = (*REQUIRED, *OPTIONAL, *FOLD_LISTS, *votes)
    by_name: dict[str, str] = {}
    for name, column in zip(names, cells.table.columns, strict=True):
        if name in by_name and name in known:
            raise UserError(f"{file}: two columns named {name}; rename or remove one")
        by_name[name] = column
    absent = [name for name in REQUIRED if name not in by_name and not (name == "label" and votes)]
    if absent:
        has, advice = ", ".join(cells.names[:10]), _advice(absent, by_name)
        raise UserError(f"{file}: no column {' or '.join(absent)} among {has}; {advice}")
    rows = pl.DataFrame(cells.lines.alias("line")).with_columns(
        _column(cells.table[by_name[name]], name, file)
        if name in by_name
        else pl.lit(None, LIST if name in FOLD_LISTS else pl.String).alias(name)
        for name in known
    )
    if not rows["path"].null_count():
        return rows
    return rows.filter(~pl.all_horizontal(pl.exclude("line").is_null()))  # a line of commas is not a row


def _column_name(written: str) -> str:
    """A column's name in lower case, except the class of its votes."""
    name = written.strip()
    return VOTES + name[len(VOTES) :] if name.lower().startswith(VOTES) else name.lower()


def _advice(absent: list[str], present: Iterable[str]) -> str:
    """Which columns look like the absent ones."""
    similar = {
        name: [other for other in present if other and OTHER_NAMES[name].fullmatch(other)] for name in absent
    }
    renamed = [f"{others[0]} to {name}" for name, others in similar.items() if others]
    return f"rename {', and '.join(renamed)}" if renamed else "rename or add it"


def _column(values: pl.Series, name: str, file: Path) -> pl.Series:
    """One column as stripped text (NFC, except paths), or as the lists of folds that it contains."""
    is_list = isinstance(values.dtype, pl.List)
    try:
        if name in FOLD_LISTS and (is_list or not values.len() - values.null_count()):
            return values.cast(LIST).list.drop_nulls().list.sort().alias(name)
        if name in FOLD_LISTS or values.dtype.is_nested():
            raise pl.exceptions.InvalidOperationError(name)
        if values.dtype.is_float():  # what a table with empty cells makes of 1, 2 and 3
            values = values.fill_nan(None)
            integers = values.cast(pl.Int64, strict=False)
            values = integers.cast(pl.String).zip_with(
                (integers == values).fill_null(False), values.cast(pl.String)
            )
        text = values.cast(pl.String).str.strip_chars().replace("", None).alias(name)
    except pl.exceptions.PolarsError:
        content = "lists of integers" if name in FOLD_LISTS else "text or numbers"
        raise UserError(f"{file}: column {name} must contain {content}; fix or rename it") from None
    return text if name == "path" else text.str.normalize("NFC")


def _without_words_for_empty(rows: pl.DataFrame) -> tuple[pl.DataFrame, list[Problem]]:
    """Empty the cells with `nan`, `None` and the like; report those that stood for a label."""
    emptied = rows["label"].filter(rows["label"].str.contains(EMPTY).fill_null(False))
    columns = [name for name in rows.columns if name in MAY_BE_EMPTY or name.startswith(VOTES)]
    named = [pl.when(~pl.col(name).str.contains(EMPTY)).then(name).alias(name) for name in columns]
    text = f"labels read as empty cells ({', '.join(emptied.unique().sort())})"
    problems = [Problem(kind="labels", text=text, count=len(emptied))] if len(emptied) else []
    return rows.with_columns(named), problems


def _with_parts(rows: pl.DataFrame, file: Path) -> pl.DataFrame:
    """`split` and `fold` as a manifest has them. Raises UserError, with the line, for other values."""
    split = (
        pl.col("split").str.to_lowercase().replace_strict(SPLIT_NAMES, default=None, return_dtype=pl.String)
    )
    fold = pl.col("fold").str.replace(r"\.0$", "").cast(pl.Int32, strict=False)
    is_split = pl.col("split").is_null() | split.is_not_null()
    _require(rows, is_split, "split {} is not train, val or test", "split", file)
    is_fold = pl.col("fold").is_null() | (fold >= 0).fill_null(False)
    _require(rows, is_fold, "fold {} is not an integer from 0", "fold", file)
    tested, trained = (pl.col(name).fill_null(pl.lit([], LIST)) for name in FOLD_LISTS)
    negative = pl.min_horizontal(tested.list.min(), trained.list.min()) < 0
    _require(rows, ~negative.fill_null(False), "a negative number in a list of folds", "path", file)
    twice = tested.list.set_intersection(trained).list.len() > 0
    _require(rows, ~twice, "a fold in both test_folds and train_folds", "path", file)
    both = pl.col("fold").is_not_null() & pl.any_horizontal(pl.col(FOLD_LISTS).is_not_null())
    _require(rows, ~both, "both a fold and lists of folds", "fold", file)
    return rows.with_columns(split=split, fold=fold)


def _with_votes(rows: pl.DataFrame, file: Path) -> tuple[pl.DataFrame, list[Problem], tuple[str, ...]]:
    """`votes`, and the label that follows from them where there is none; also the classes that they are for, sorted.

    Raises UserError, with the line, for a value that is not a number from 0, or a label without a column of votes.
    """
    classes = {name.removeprefix(VOTES): name for name in sorted(rows.columns) if name.startswith(VOTES)}
    if not classes:
        return rows, [], ()
    if len({meaning(name) for name in classes}) < len(classes):
        raise UserError(f"{file}: two columns of votes for one class ({', '.join(classes)}); merge them")
    numbers = {column: pl.col(column).cast(pl.Float64, strict=False) for column in classes.values()}
    for column, number in numbers.items():
        sound = pl.col(column).is_null() | ((number >= 0) & number.is_finite()).fill_null(False)
        _require(rows, sound, f"{column} {{}} is not a number from 0", column, file)
    matched = match_labels(tuple(classes), rows["label"].drop_nulls().unique().to_list())
    label = pl.col("label").replace_strict(matched, default=None, return_dtype=pl.String)
    known = pl.col("label").is_null() | label.is_not_null()
    _require(rows, known, f"label {{}} has no column {VOTES}…", "label", file)
    rows, tied = add_votes(rows.with_columns(label, **numbers), classes)
    return rows, tied, tuple(classes)


def _require(rows: pl.DataFrame, condition: pl.Expr, wrong: str, column: str, file: Path) -> None:
    """Raise UserError for the first row that fails a condition. wrong: what it has, with {} for its cell."""
    bad = rows.filter(~condition)
    if len(bad):
        place = "row" if is_parquet(file) else "line"
        found = wrong.replace("{}", repr(bad[column][0]))
        raise UserError(f"{file}, {place} {bad['line'][0]}: {found}; fix or remove it")


def _refuse_nothing_there(rows: pl.DataFrame, root: Path, file: Path) -> None:
    """Raise UserError if no clip is on disk: the table was moved away from its clips, as the one in a cache is."""
    if (rows["kind"] == MISSING).all():
        raise UserError(
            f"{file}: no clip is on disk, the first of {len(rows)} was expected at {root / rows['path'][0]}; "
            "move the table to the folder where its paths start"
        )


def _partly_empty(rows: pl.DataFrame) -> list[Problem]:
    """Clips without a label, split or fold where others have one: nothing else reports that they do not count."""
    has = {
        "label": pl.col("label").is_not_null(),
        "split": pl.col("split").is_not_null(),
        "fold": pl.any_horizontal(pl.col("fold", *FOLD_LISTS).is_not_null()),
    }
    without = {name: rows.filter(~known)["path"] for name, known in has.items()}
    return [
        problem
        for name, paths in without.items()
        if len(paths) < len(rows)
        for problem in report(
            f"no {name}",
            f"clips without a {name}, never trained on or judged by {name}",
            paths,
            total=len(rows),
        )
    ]


READER = Reader(
    name="table",
    title="any table of clips",
    fits=fits,
    read=read,
    expects=(
        "a CSV (UTF-8) or Parquet file with the columns path and label, and optionally split, fold, subject, scene, "
        "scene_group, intensity, and votes_<class> for each class",
        "paths absolute or relative to the file; a file from `pipeline manifest --out` works from anywhere",
    ),
    protocol="its split or fold column, if it has one",
)
