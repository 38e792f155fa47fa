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

# Numbers are of ASCII digits, and so short that Int32 holds them.
NAME = re.compile(
    r"(?:[a-z0-9]+[_-])*?(?:set[_-]?(?P<fold>[0-9]{1,9})[_-])?"
    rf"(?P<part>{'|'.join(PARTS)})(?:[_-]?set)?(?:[_-]?(?P<last>[0-9]{{1,9}}))?\.txt",
    re.IGNORECASE,
)
FORM = r"^(?P<folder>.+?)\s+(?P<frames>[0-9]{1,9})\s+(?P<label>[0-9]{1,9})$"
# To recognise a list, more is asked of a line: a path (with blanks only where it has folders) and an id of a class.
LINE = re.compile(r"(?:\S+|.*[/\\].*)\s+[0-9]{1,9}\s+[0-9]{1,2}")
ORDER = ("happiness", "sadness", "neutral", "anger", "surprise", "disgust", "fear")


def fits(root: Path) -> bool:
    """Whether it is such a file, or a folder that holds one."""
    return any(file.is_file() and _is_list(file) for file in _files(root))


def read(root: Path, _: Options) -> Rows:
    """One row a frame folder. Raises UserError where a list is malformed or lists contradict each other."""
    files = _files(root)  # all of them: one whose lines are of another form is an error, not another file
    if not files:
        raise UserError(
            f"{root}: no list such as set_1_train.txt with lines `<frame folder> <frames> <label id>`"
        )
    _refuse_some_without_fold(files)
    entries = pl.concat(_entries(file) for file in files)
    base, paths = below_one_root(entries["folder"], root if root.is_dir() else root.parent)
    entries, ids = _named(entries.with_columns(path=paths, clip_id=paths).drop("folder", "frames"))
    rows, problems = one_row_a_clip(entries)
    rows, strange = read_labels(rows, SEVEN)
    rows, unlocated = disk.locate(rows, base)
    return Rows(table=rows, problems=(*problems, *ids, *strange, *unlocated), root=base)


def _files(root: Path) -> list[Path]:
    """The files whose names are those of lists."""
    files = [root] if root.is_file() else sorted(root.glob("*.[tT][xX][tT]"))
    return [file for file in files if NAME.fullmatch(file.name)]


def _is_list(file: Path) -> bool:
    """Whether a file's first line with something in it is of the form."""
    with file.open(encoding="utf-8-sig", errors="replace") as lines:
        first = next((line for line in lines if line.strip()), "")
    return LINE.fullmatch(first.strip()) is not None


def _refuse_some_without_fold(files: list[Path]) -> None:
    """train.txt beside set_1_train.txt is in no fold, or in each: nobody can say."""
    without = [file for file in files if _fold(file) is None]
    if without and len(without) < len(files):
        other = next(file for file in files if file not in without)
        raise UserError(f"{without[0]}: its name says no fold, {other.name} does; rename or remove one")


def _fold(file: Path) -> int | None:
    """The fold that a list's name says."""
    named = NAME.fullmatch(file.name)
    fold = named["fold"] or named["last"]
    return int(fold) if fold else None


def _entries(file: Path) -> pl.DataFrame:
    """One list: folder, frames, label id, part, fold, file, line."""
    lines = read_lines(file, FORM, "path/to/00001 120 3")
    if lines.is_empty():
        raise UserError(f"{file} names no clip; fill or remove it")
    part = PARTS[NAME.fullmatch(file.name)["part"].lower()]
    return lines.with_columns(part=pl.lit(part), fold=pl.lit(_fold(file), pl.Int32))


def _named(entries: pl.DataFrame) -> tuple[pl.DataFrame, list[Problem]]:
    """Label ids to names: 0–6 in Former-DFER's order, or 1–7, as some write it; what has no 0 is reported."""
    ids = entries["label"].cast(pl.Int64)
    shifted = ids.min() == 1 and ids.max() == len(ORDER)
    names = {str(number + shifted): name for number, name in enumerate(ORDER)}
    named = entries.with_columns(pl.col("label").cast(pl.Int64).cast(pl.String).replace(names))
    if ids.min() == 0:
        return named, []
    text = f"{len(entries)} label ids run from {ids.min()} to {ids.max()}: "
    # Without a 7 they may be of a list of 0–6 that lacks its first class, or one of 1–7 that lacks its last.
    text += f"1 is read as {ORDER[0]}" if shifted else f"no id 0; read as 0–6, so that 1 is {ORDER[1]}"
    return named, [Problem(kind="labels", count=len(entries), text=text)]


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
