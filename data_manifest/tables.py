"""Any table: CSV (UTF-8) or Parquet with `path` and `label`, and `split`, `fold`, `subject`, `scene`, `intensity`.

Paths are absolute or relative to the table's folder. `fold` is the fold that tests a clip; the others train on it.
"""

import csv
import io
from pathlib import Path

import polars as pl

from data_manifest import disk
from data_manifest.folds import PARTS, TEST, one_row_a_clip
from data_manifest.labels import merge_spellings
from data_manifest.paths import below_one_root
from data_manifest.readers import Options, Problem, Reader, Rows, problem
from data_manifest.text_lists import read_text
from schemas.errors import UserError

REQUIRED = ("path", "label")
OPTIONAL = ("split", "fold", "subject", "scene", "scene_group", "intensity")
SEPARATORS = ",;\t"


def fits(root: Path) -> bool:
    return root.is_file() and root.suffix.lower() in (".csv", ".tsv", ".parquet")


def read(file: Path, _: Options) -> Rows:
    """One row a clip. Raises UserError, with the file and the line, for what is no such table."""
    if not fits(file):
        raise UserError(f"{file} is no table; give a .csv or .parquet file with the columns path and label")
    written = _columns(_read_parquet(file) if file.suffix.lower() == ".parquet" else _read_csv(file), file)
    if written.is_empty():
        raise UserError(f"no clips in {file}: it has no row")
    _require(written, pl.col("path").is_not_null(), "it has no path", "path", file)
    split = pl.col("split").str.to_lowercase().replace_strict(PARTS, default=None, return_dtype=pl.String)
    _require(
        written,
        pl.col("split").is_null() | split.is_not_null(),
        "a split is train, val or test",
        "split",
        file,
    )
    fold = pl.col("fold").str.replace(r"\.0$", "").cast(pl.Int32, strict=False)
    _require(written, pl.col("fold").is_null() | fold.is_not_null(), "a fold is a whole number", "fold", file)
    root, paths = below_one_root(written["path"], file.parent)
    rows = written.with_columns(split=split, fold=fold, path=paths, clip_id=paths)
    nowhere = pl.col("path").is_in(["", ".", ".."]) | pl.col("path").str.ends_with("/..")
    _require(rows, ~nowhere, "its path leads to no clip", "path", file)
    rows, doubled = _one_row_a_clip(rows, file)
    rows, merged = merge_spellings(rows)
    rows, unlocated = disk.locate(rows.drop("line"), root)
    return Rows(table=rows, problems=(*doubled, *merged, *unlocated), root=root)


def _read_csv(file: Path) -> pl.DataFrame:
    """All cells as text. The separator is the one that the header has."""
    text = read_text(file)
    header = text.split("\n", 1)[0]
    separator = max(SEPARATORS, key=header.count)
    try:
        return pl.read_csv(io.BytesIO(text.encode()), separator=separator, infer_schema=False)
    except pl.exceptions.NoDataError:
        raise UserError(f"{file} is empty; it needs the columns path and label") from None
    except pl.exceptions.PolarsError as error:
        place = _malformed_line(text, separator)
        said = place or str(error).splitlines()[0]
        raise UserError(f"{file}, {said}; quote cells that hold a {separator!r}") from None


def _malformed_line(text: str, separator: str) -> str:
    """Which line has more cells than the header; "" where none has."""
    lines = csv.reader(io.StringIO(text), delimiter=separator)
    try:
        cells = len(next(lines))
        return next(
            (
                f"line {lines.line_num}: {len(row)} cells, the header has {cells}"
                for row in lines
                if len(row) > cells
            ),
            "",
        )
    except csv.Error as error:
        return f"line {lines.line_num}: {error}"


def _read_parquet(file: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(file, glob=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UserError(f"{file} is no Parquet file that can be read: {str(error).splitlines()[0]}") from None


def _columns(table: pl.DataFrame, file: Path) -> pl.DataFrame:
    """The known columns as stripped text, empty cells as null, and `line`, the row's in the file."""
    by_name = {name.strip().lower(): name for name in table.columns}
    absent = [name for name in REQUIRED if name not in by_name]
    if absent:
        has = ", ".join(table.columns[:10])
        raise UserError(f"{file} has no column {' and none '.join(absent)}, only {has}; rename or add it")
    first = 1 if file.suffix.lower() == ".parquet" else 2  # a CSV file's first line is its header
    texts = [
        pl.col(by_name[name]).cast(pl.String, strict=False).str.strip_chars().replace("", None).alias(name)
        if name in by_name
        else pl.lit(None, pl.String).alias(name)
        for name in (*REQUIRED, *OPTIONAL)
    ]
    try:
        rows = table.select(texts).with_row_index("line", first).with_columns(pl.col("line").cast(pl.Int64))
        if not rows["path"].null_count():
            return rows
        return rows.filter(~pl.all_horizontal(pl.exclude("line").is_null()))  # an empty line is no row
    except pl.exceptions.PolarsError:
        raise UserError(f"{file}: its columns {', '.join(by_name)} must hold text or numbers") from None


def _require(rows: pl.DataFrame, holds: pl.Expr, wrong: str, column: str, file: Path) -> None:
    """Raise UserError with the first row's line for which something does not hold."""
    bad = rows.filter(~holds)
    if len(bad):
        of = "row" if file.suffix.lower() == ".parquet" else "line"
        cell = bad[column][0]
        said = "" if cell is None else f", not {cell!r}"
        raise UserError(f"{file}, {of} {bad['line'][0]}: {wrong}{said}; mend or remove it")


def _one_row_a_clip(rows: pl.DataFrame, file: Path) -> tuple[pl.DataFrame, list[Problem]]:
    """Only paths that occur twice need a closer look: equal rows are one, several folds become lists."""
    if rows["path"].n_unique() == len(rows):
        return rows, []
    twice = pl.col("path").is_duplicated()
    doubled = rows.filter(twice)
    entries = doubled.with_columns(file=pl.lit(str(file)))
    if doubled["fold"].null_count():
        single, problems = one_row_a_clip(entries.with_columns(part=pl.col("split")).drop("split"))
        lone = rows.filter(~twice)
        return pl.concat([lone, _like(single, lone)]).sort("path"), problems
    return _with_several_folds(rows, entries)


def _with_several_folds(rows: pl.DataFrame, entries: pl.DataFrame) -> tuple[pl.DataFrame, list[Problem]]:
    """A path with several folds is tested in each of them, and trained on in the rest of the table's folds."""
    again = entries.with_columns(part=pl.lit(TEST))
    one_row_a_clip(again)  # refuses two labels
    numbers = rows["fold"].drop_nulls().unique().sort()
    folds = again.group_by("path").agg(test_folds=pl.col("fold").unique().sort(), rows=pl.len())
    several = pl.col("test_folds").list.len() > 1
    every = pl.lit(numbers.implode(), pl.List(pl.Int32))
    folds = folds.with_columns(
        test_folds=pl.when(several).then("test_folds"),
        train_folds=pl.when(several).then(every.list.set_difference("test_folds").list.sort()),
    )
    first = rows.unique("path", keep="first", maintain_order=True)
    clips = first.join(folds, on="path", how="left", maintain_order="left")
    clips = clips.with_columns(fold=pl.when(pl.col("test_folds").is_null()).then("fold"))
    odd = clips.filter(pl.col("test_folds").is_not_null())["path"]
    equal = entries.filter(pl.struct("path", "fold").is_duplicated())["path"].unique().sort()
    return clips.drop("rows"), [
        *problem("duplicate", "clips are listed again with the same fold; the rows are left out", equal),
        *problem(
            "folds", f"of {len(clips)} clips are tested in several folds: they are not a partition", odd
        ),
    ]


def _like(rows: pl.DataFrame, model: pl.DataFrame) -> pl.DataFrame:
    """Rows with another table's columns, in its order."""
    absent = [
        pl.lit(None, kind).alias(name) for name, kind in model.schema.items() if name not in rows.columns
    ]
    return rows.with_columns(absent).select(model.columns)


READER = Reader(
    name="table",
    title="any table of clips",
    fits=fits,
    read=read,
    expects=(
        "a CSV (UTF-8) or Parquet file with the columns path and label, and if you like split, fold, subject, scene,",
        "intensity; paths are absolute or relative to the file's folder",
    ),
    protocol="its split or fold column, if it has one",
)
