"""Any table: CSV (UTF-8) or Parquet with `path` and `label`, and `split`, `fold`, `subject`, `scene`, `intensity`.

Paths are absolute or relative to the table's folder. `fold` is the fold that tests a clip; the others train on it.
Or, in a row per clip and fold, `split` is the part that the clip has in that fold. A manifest is such a table too.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import polars as pl

from dfer.data_manifest.csv_parquet import Cells, is_parquet, read_cells
from dfer.data_manifest.disk import listed_clips
from dfer.data_manifest.disk.common_root import WINDOWS, below_one_root
from dfer.data_manifest.labels import merge_spellings
from dfer.data_manifest.layouts.table_folds import LISTS, one_row_a_path
from dfer.data_manifest.official_splits import PARTS
from dfer.data_manifest.problems import Problem, problem, sentence
from dfer.data_manifest.reader import Options, Reader, Rows
from dfer.schemas.manifest import MISSING
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.text import counted

REQUIRED = ("path", "label")
OPTIONAL = ("split", "fold", "subject", "scene", "scene_group", "intensity")
# What programs write into an empty cell of these columns.
EMPTY = r"^(?i:nan|none|null|na|n/a)$"
MAY_BE_EMPTY = ("label", "split", "fold", "subject")
LIST = pl.List(pl.Int32)
# What others call the required columns, in lower case.
CALLED = {
    "path": re.compile(r"(file|clip|video)s?(_?(path|name|file|id))?|paths|name|folder|frames"),
    "label": re.compile(r"(emotion|class|expression|category|target)(_?(label|name|id))?s?|labels|y"),
}


def fits(root: Path) -> bool:
    return root.is_file() and root.suffix.lower() in (".csv", ".tsv", ".parquet")


def read(file: Path, _: Options) -> Rows:
    """One row a clip. Raises UserError, with the file and the line, for what is no such table."""
    if not fits(file):
        raise UserError(f"{file} is no table; give a .csv or .parquet file with the columns path and label")
    cells = _columns(read_cells(file), file)
    if cells.is_empty():
        raise UserError(f"no clips in {file}: it has no row")
    written, emptied = _without_words_for_empty(cells)
    _require(written, pl.col("path").is_not_null(), "it has no path", "path", file)
    drive = pl.col("path").str.contains(WINDOWS)
    _require(written, ~drive, "its path {} begins with a drive of Windows, which is not here", "path", file)
    written = _with_parts(written, file)
    root, paths = below_one_root(written["path"], file.parent)
    paths = paths.str.normalize(
        "NFC"
    )  # of letters that Unicode writes in two ways, one; the disk may have the other
    rows = written.with_columns(path=paths, clip_id=paths)
    nowhere = pl.col("path").is_in(["", ".", ".."]) | pl.col("path").str.ends_with("/..")
    _require(rows, ~nowhere, "its path {} leads to no clip", "path", file)
    rows, doubled = one_row_a_path(rows, file)
    rows, merged = merge_spellings(rows)
    rows, unlocated = listed_clips.locate(rows.drop("line"), root)
    _refuse_nothing_there(rows, root, file)
    problems = (*emptied, *doubled, *merged, *_partly_empty(rows), *unlocated)
    return Rows(table=rows, problems=problems, root=root)


def _columns(cells: Cells, file: Path) -> pl.DataFrame:
    """The known columns, text but for the lists of folds, empty cells as null; and `line`, the row's in the file."""
    known = (*REQUIRED, *OPTIONAL, *LISTS)
    by_name: dict[str, str] = {}
    for written, column in zip(cells.names, cells.table.columns, strict=True):
        name = written.strip().lower()
        if name in by_name and name in known:
            raise UserError(f"{file} has two columns {name}; rename or remove one")
        by_name[name] = column
    absent = [name for name in REQUIRED if name not in by_name]
    if absent:
        has, advice = ", ".join(cells.names[:10]), _advice(absent, by_name)
        raise UserError(f"{file} has no column {' and none '.join(absent)}, only {has}; {advice}")
    rows = pl.DataFrame(cells.lines.alias("line")).with_columns(
        _column(cells.table[by_name[name]], name, file)
        if name in by_name
        else pl.lit(None, LIST if name in LISTS else pl.String).alias(name)
        for name in known
    )
    if not rows["path"].null_count():
        return rows
    return rows.filter(~pl.all_horizontal(pl.exclude("line").is_null()))  # commas alone are no row


def _advice(absent: list[str], there: Iterable[str]) -> str:
    """Which columns look like the absent ones."""
    alike = {name: [other for other in there if other and CALLED[name].fullmatch(other)] for name in absent}
    renamed = [f"{others[0]} to {name}" for name, others in alike.items() if others]
    return f"rename {', and '.join(renamed)}" if renamed else "rename or add it"


def _column(values: pl.Series, name: str, file: Path) -> pl.Series:
    """One column as stripped text (all but paths in Unicode's composed form), or the lists of folds that it is."""
    listed = isinstance(values.dtype, pl.List)
    try:
        if name in LISTS and (listed or not values.len() - values.null_count()):
            return values.cast(LIST).list.drop_nulls().list.sort().alias(name)
        if name in LISTS or values.dtype.is_nested():
            raise pl.exceptions.InvalidOperationError(name)
        if values.dtype.is_float():  # numbers that a table with empty cells makes of 1, 2 and 3
            values = values.fill_nan(None)
            whole = values.cast(pl.Int64, strict=False)
            values = whole.cast(pl.String).zip_with(
                (whole == values).fill_null(False), values.cast(pl.String)
            )
        text = values.cast(pl.String).str.strip_chars().replace("", None).alias(name)
    except pl.exceptions.PolarsError:
        must = "lists of whole numbers" if name in LISTS else "text or numbers"
        raise UserError(f"{file}: its column {name} must hold {must}; mend or rename it") from None
    return text if name == "path" else text.str.normalize("NFC")


def _without_words_for_empty(rows: pl.DataFrame) -> tuple[pl.DataFrame, list[Problem]]:
    """`nan`, `None` and the like are no class, and no fold; where they stood for a label, that is said."""
    empty = pl.col("label").str.contains(EMPTY)
    words = rows.filter(empty)["label"].unique().sort().to_list()
    count = rows.select(empty.sum()).item()
    text = f"{sentence(count, 'labels are read as none')}: {', '.join(words)}"
    named = [pl.when(~pl.col(name).str.contains(EMPTY)).then(name).alias(name) for name in MAY_BE_EMPTY]
    return rows.with_columns(named), [Problem(kind="labels", count=count, text=text)] if words else []


def _with_parts(rows: pl.DataFrame, file: Path) -> pl.DataFrame:
    """`split` and `fold` as a manifest has them. Raises UserError, with the line, for what is none."""
    split = pl.col("split").str.to_lowercase().replace_strict(PARTS, default=None, return_dtype=pl.String)
    fold = pl.col("fold").str.replace(r"\.0$", "").cast(pl.Int32, strict=False)
    is_split = pl.col("split").is_null() | split.is_not_null()
    _require(rows, is_split, "a split is train, val or test, not {}", "split", file)
    is_fold = pl.col("fold").is_null() | (fold >= 0).fill_null(False)
    _require(rows, is_fold, "a fold is a whole number from 0, not {}", "fold", file)
    tested, trained = (pl.col(name).fill_null(pl.lit([], LIST)) for name in LISTS)
    negative = pl.min_horizontal(tested.list.min(), trained.list.min()) < 0
    _require(rows, ~negative.fill_null(False), "a list of folds holds a number below 0", "path", file)
    twice = tested.list.set_intersection(trained).list.len() > 0
    _require(rows, ~twice, "a fold is in test_folds and in train_folds", "path", file)
    both = pl.col("fold").is_not_null() & pl.any_horizontal(pl.col(LISTS).is_not_null())
    _require(rows, ~both, "it has both a fold and lists of folds", "fold", file)
    return rows.with_columns(split=split, fold=fold)


def _require(rows: pl.DataFrame, holds: pl.Expr, wrong: str, column: str, file: Path) -> None:
    """Raise UserError with the first row's line for which something does not hold. wrong: with {} for its cell."""
    bad = rows.filter(~holds)
    if len(bad):
        of = "row" if is_parquet(file) else "line"
        said = wrong.replace("{}", repr(bad[column][0]))
        raise UserError(f"{file}, {of} {bad['line'][0]}: {said}; mend or remove it")


def _refuse_nothing_there(rows: pl.DataFrame, root: Path, file: Path) -> None:
    """A table of which nothing is on disk was moved away from its clips, as the manifest in a cache is."""
    if (rows["kind"] == MISSING).all():
        raise UserError(
            f"{file}: none of its {counted(len(rows), 'clip')} is on disk; they were looked for in {root}, the first "
            f"as {root / rows['path'][0]}; put the table into the folder where its paths start"
        )


def _partly_empty(rows: pl.DataFrame) -> list[Problem]:
    """Clips without a label, split or fold, where others have one: nothing else would say that they do not count."""
    known = {
        "label": pl.col("label").is_not_null(),
        "split": pl.col("split").is_not_null(),
        "fold": pl.any_horizontal(pl.col("fold", *LISTS).is_not_null()),
    }
    without = {name: rows.filter(~has)["path"] for name, has in known.items()}
    return [
        found
        for name, paths in without.items()
        if len(paths) < len(rows)
        for found in problem(
            f"no {name}",
            f"of {len(rows)} clips have no {name}: by {name}, they are never trained on or judged",
            paths,
        )
    ]


READER = Reader(
    name="table",
    title="any table of clips",
    fits=fits,
    read=read,
    expects=(
        "a CSV (UTF-8) or Parquet file with the columns path and label, and if you like split, fold, subject, scene,",
        "intensity; paths are absolute or relative to the file's folder; with a row per clip and fold, split is the",
        "part that the clip has in that fold; a manifest that `pipeline manifest` wrote is such a table",
    ),
    protocol="its split or fold column, if it has one",
)
