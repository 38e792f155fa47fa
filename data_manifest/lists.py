"""Lists in the style of Former-DFER: `<frame folder> <number of frames> <label id>`, a file a fold and part.

The file's name says the part, and the fold where there are several: set_1_train.txt, DFEW_set_1_test.txt, train.txt.
"""

import re
from pathlib import Path

import polars as pl

from data_manifest import disk
from data_manifest.folds import PARTS, one_row_a_clip
from data_manifest.labels import SEVEN, read_labels
from data_manifest.paths import below_one_root
from data_manifest.readers import Options, Problem, Reader, Rows
from data_manifest.text_lists import read_lines
from schemas.errors import UserError

NAME = re.compile(
    r"(?:.*?[_-])??(?:set[_-]?(?P<fold>\d+)[_-])?(?P<part>train|val|valid|test)(?:[_-]?set)?(?:[_-]?(?P<last>\d+))?\.txt",
    re.IGNORECASE,
)
LINE = re.compile(r"\S.*\s\d+\s+\d+\s*")
FORM = r"^(?P<folder>.+?)\s+(?P<frames>\d+)\s+(?P<label>\d+)$"
ORDER = ("happiness", "sadness", "neutral", "anger", "surprise", "disgust", "fear")


def fits(root: Path) -> bool:
    """Whether it is such a file, or a folder that holds one."""
    return any(_is_list(file) for file in _files(root))


def read(root: Path, _: Options) -> Rows:
    """One row a frame folder. Raises UserError where a list is malformed or lists contradict each other."""
    files = [file for file in _files(root) if _is_list(file)]
    if not files:
        raise UserError(
            f"{root}: no list such as set_1_train.txt with lines `<frame folder> <frames> <label id>`"
        )
    entries = pl.concat(_entries(file) for file in files)
    base, paths = below_one_root(entries["folder"], root if root.is_dir() else root.parent)
    entries, ids = _named(entries.with_columns(path=paths, clip_id=paths).drop("folder", "frames"))
    rows, problems = one_row_a_clip(entries)
    rows, strange = read_labels(rows, SEVEN)
    rows, unlocated = disk.locate(rows, base)
    return Rows(table=rows, problems=(*problems, *ids, *strange, *unlocated), root=base)


def _files(root: Path) -> list[Path]:
    """The files whose names are those of lists."""
    files = [root] if root.is_file() else sorted(root.glob("*.txt"))
    return [file for file in files if NAME.fullmatch(file.name)]


def _is_list(file: Path) -> bool:
    """Whether a file's first line with something in it is of the form."""
    with file.open(encoding="utf-8-sig", errors="replace") as lines:
        first = next((line for line in lines if line.strip()), "")
    return LINE.fullmatch(first.strip()) is not None


def _entries(file: Path) -> pl.DataFrame:
    """One list: folder, frames, label id, part, fold, file, line."""
    named = NAME.fullmatch(file.name)
    fold = named["fold"] or named["last"]
    lines = read_lines(file, FORM, "path/to/00001 120 3")
    return lines.with_columns(
        part=pl.lit(PARTS[named["part"].lower()]), fold=pl.lit(int(fold) if fold else None, pl.Int32)
    )


def _named(entries: pl.DataFrame) -> tuple[pl.DataFrame, list[Problem]]:
    """Label ids to names: 0–6 in Former-DFER's order, or 1–7, as some write it, which is reported."""
    ids = entries["label"].cast(pl.Int64)
    shifted = ids.min() == 1 and ids.max() == len(ORDER)
    names = {str(number + shifted): name for number, name in enumerate(ORDER)}
    named = entries.with_columns(pl.col("label").cast(pl.Int64).cast(pl.String).replace(names))
    text = f"{len(entries)} label ids run from 1 to {len(ORDER)}: 1 is read as {ORDER[0]}"
    return named, [Problem(kind="labels", count=len(entries), text=text)] if shifted else []


READER = Reader(
    name="lists",
    title="lists in the style of Former-DFER",
    fits=fits,
    read=read,
    expects=(
        "set_{1..5}_{train,test}.txt, or {train,test}.txt, in the folder; lines",
        "`<frame folder> <frames> <label id>`; folders are absolute or relative to the list's; ids 0–6 are "
        + ", ".join(ORDER),
    ),
    protocol="the folds or the split that the lists' names say",
    classes=SEVEN,
    cite="the form: Zhao, Liu 2021, Former-DFER, ACM Multimedia",
)
