"""AffectNet, annotated by people: `training.csv` and `validation.csv` with the pictures in their folders.

Or as its smaller release: `{train_set,val_set}/images/<id>.jpg` and `annotations/<id>_exp.npy`, a file of one number.
"""

import functools
import io
import os
from pathlib import Path

import polars as pl

from dfer.data_manifest.disk.any_case import file_below, first_folder
from dfer.data_manifest.disk.file_types import IMAGE_SUFFIXES
from dfer.data_manifest.disk.listed_clips import read_listed
from dfer.data_manifest.labels import SEVEN
from dfer.data_manifest.layouts.stills.large_csv import first_row, read_columns
from dfer.data_manifest.official_splits import TRAIN, VAL
from dfer.data_manifest.problems import Problem, report
from dfer.data_manifest.reader import Options, Reader, Rows
from dfer.schemas.support.errors import UserError

EIGHT = (*SEVEN, "contempt")
ORDER = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
WRITTEN = {str(number): name for number, name in enumerate(ORDER)}
NO_CLASS = {"8": "none", "9": "uncertain", "10": "no face"}

TABLES = {"training.csv": TRAIN, "validation.csv": VAL}
TABLE_FOLDERS = ("", "Manually_Annotated_file_lists", "Manually_Annotated/Manually_Annotated_file_lists")
PICTURES = ("Manually_Annotated_Images", "Manually_Annotated/Manually_Annotated_Images")
PATH, EXPRESSION = "subdirectory_filepath", "expression"
COLUMNS = 9
EXPRESSION_AT = 6  # in a table without a header, as some copies of validation.csv are

PARTS = {"train_set": TRAIN, "val_set": VAL}
END = "_exp.npy"
ANNOTATION_BYTES = 1000  # more than one number needs


def fits(root: Path) -> bool:
    return bool(_tables(root) or _parts(root))


def read(root: Path, _: Options) -> Rows:
    """Read one row per annotated picture. Raises UserError if a table cannot be read or contradicts itself."""
    if tables := _tables(root):
        folder = first_folder(root, PICTURES)
        entries = pl.concat(_table_entries(file, part) for file, part in tables.items())
        path = pl.col("clip_id") if folder is None else pl.concat_str(pl.lit(f"{folder}/"), "clip_id")
        entries, problems = entries.with_columns(path=path), []
    elif parts := _parts(root):
        found = [_annotations(root, folder, part) for folder, part in parts.items()]
        entries = pl.concat(entries for entries, _ in found)
        problems = report(
            "unknown label", "annotations that cannot be read", pl.concat(bad for _, bad in found)
        )
    else:
        raise UserError(
            f"{root}: no training.csv with the columns of AffectNet, and no train_set/annotations; complete it"
        )
    entries, left = _without_class(entries.with_columns(fold=pl.lit(None, pl.Int32)))
    rows = read_listed(entries, root, EIGHT, written=WRITTEN)
    return Rows(table=rows.table, problems=(*problems, *left, *rows.problems))


def _without_class(entries: pl.DataFrame) -> tuple[pl.DataFrame, list[Problem]]:
    """Null for the numbers that are no class, and how many there are of each."""
    problems = [
        problem
        for number, name in NO_CLASS.items()
        for problem in report(
            "no label",
            f"clips without a label: annotated as {name} ({number})",
            entries.filter(label=number)["clip_id"],
            total=len(entries),
        )
    ]
    return entries.with_columns(label=pl.when(~pl.col("label").is_in(list(NO_CLASS))).then("label")), problems


def _tables(root: Path) -> dict[Path, str]:
    """The tables in the first folder that has one of AffectNet's, and the split of each."""
    for folder in TABLE_FOLDERS:
        files = {file_below(root, f"{folder}/{name}".lstrip("/")): part for name, part in TABLES.items()}
        if any(map(_columns, files)):
            return {file: part for file, part in files.items() if file.is_file()}
    return {}


def _columns(file: Path) -> tuple[str, ...]:
    """The columns of a table, in lower case; () if it is none of AffectNet."""
    cells = first_row(file)
    if PATH in cells and EXPRESSION in cells:
        return cells
    is_row = len(cells) == COLUMNS and os.path.splitext(cells[0])[1] in IMAGE_SUFFIXES  # noqa: PTH122
    if not is_row:
        return ()
    names = [f"column {number}" for number in range(COLUMNS)]
    names[0], names[EXPRESSION_AT] = PATH, EXPRESSION
    return tuple(names)


def _table_entries(file: Path, part: str) -> pl.DataFrame:
    """Entries of one table, as for `read_listed`, with the picture's path in its folder as id."""
    columns = _columns(file)
    if not columns:
        raise UserError(
            f"{file}, line 1: neither AffectNet's header nor one of its rows of {COLUMNS} cells; "
            "unpack the table again"
        )
    entries = read_columns(
        file,
        has_header="column 1" not in columns,
        clip_id=pl.nth(columns.index(PATH)).str.strip_chars(),
        label=pl.nth(columns.index(EXPRESSION)).str.strip_chars(),
    )
    cut_off = entries.filter(pl.col("clip_id").is_null() | pl.col("label").is_null())
    if len(cut_off):
        raise UserError(
            f"{file}, line {cut_off['line'][0]}: cut off, without a path or an expression; unpack the table "
            "again, or remove the line"
        )
    return entries.with_columns(file=pl.lit(str(file)), part=pl.lit(part))


def _parts(root: Path) -> dict[str, str]:
    """The folders of annotations in the smaller release, and the split of each."""
    found = {first_folder(root, (f"{name}/annotations",)): part for name, part in PARTS.items()}
    return {folder: part for folder, part in found.items() if folder}


def _annotations(root: Path, folder: str, part: str) -> tuple[pl.DataFrame, pl.Series]:
    """Entries of one part, as for `read_listed`, and the paths of annotations that cannot be read."""
    top = folder.rpartition("/")[0]
    pictures = first_folder(root, (f"{top}/images",)) or f"{top}/images"
    names = {stem: f"{stem}{suffix}" for stem, suffix in map(os.path.splitext, _names(root / pictures))}
    ids = sorted(name.removesuffix(END) for name in _names(root / folder) if name.endswith(END))
    start = f"{root / folder}/"
    labels = [_number(f"{start}{name}{END}") for name in ids]
    entries = pl.DataFrame(
        {
            "clip_id": [f"{top}/{name}" for name in ids],
            "path": [f"{pictures}/{names.get(name) or name + '.jpg'}" for name in ids],
            "label": labels,
        },
        schema={"clip_id": pl.String, "path": pl.String, "label": pl.String},
    )
    unreadable = entries.filter(pl.col("label").is_null())["clip_id"]
    return entries.with_columns(
        file=pl.lit(str(root / folder)), line=pl.int_range(1, len(ids) + 1), part=pl.lit(part)
    ), unreadable


def _names(folder: Path) -> list[str]:
    """Names of the files in a folder, without hidden ones; none if it is missing."""
    try:
        return [name for name in os.listdir(folder) if not name.startswith(".")]  # noqa: PTH208 (names alone)
    except OSError:
        return []


def _number(file: str) -> str | None:
    """The number in an annotation; None if it cannot be read."""
    try:
        with open(file, "rb", buffering=0) as opened:  # noqa: PTH123 (hundreds of thousands of files)
            return _parsed(opened.read(ANNOTATION_BYTES))
    except OSError:
        return None


@functools.lru_cache(maxsize=1000)
def _parsed(content: bytes) -> str | None:
    """The number in an .npy file, an integer or text. Few different ones exist, so each is parsed once."""
    import numpy as np

    try:
        value = np.load(io.BytesIO(content), allow_pickle=False).item()
        number = int(value)
    except (ValueError, TypeError, OverflowError, EOFError, OSError):
        return None
    return None if isinstance(value, float) and value != number else str(number)


READER = Reader(
    name="affectnet",
    title="AffectNet, the pictures annotated by people",
    fits=fits,
    read=read,
    expects=(
        "training.csv, validation.csv (or in Manually_Annotated_file_lists/): subDirectory_filePath, …, expression",
        "Manually_Annotated_Images/689/737db2….jpg",
        "or {train_set,val_set}/images/0.jpg and annotations/0_exp.npy",
    ),
    traces="manually_annotated(?:_images|_file_lists|_compressed)?",
    protocol="train and val (the test part is not public)",
    classes=EIGHT,
    counts="287 651 train, 3999 val pictures in 8 classes",
    licence="AffectNet's agreement, for research",
    cite="Mollahosseini, Hasani, Mahoor 2017, AffectNet, IEEE Transactions on Affective Computing",
)
