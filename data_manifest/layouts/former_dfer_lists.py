"""Lists in the style of Former-DFER: `<frame folder> <number of frames> <label id>`, a file a fold and part.

The file's name says the part, and the fold where there are several: set_1_train.txt, DFEW_set_1_test.txt, train.txt.
"""

import os
import re
from pathlib import Path

import polars as pl

from dfer.data_manifest.disk import listed_clips
from dfer.data_manifest.disk.common_root import below_one_root
from dfer.data_manifest.disk.other_machine_paths import moved_here
from dfer.data_manifest.labels import SEVEN, read_labels
from dfer.data_manifest.layouts.mafw import CLASSES
from dfer.data_manifest.official_splits import PARTS, one_row_a_clip
from dfer.data_manifest.problems import Problem, problem
from dfer.data_manifest.reader import Options, Reader, Rows
from dfer.data_manifest.text_files import read_lines
from dfer.schemas.manifest import FRAME_FOLDER
from dfer.schemas.support.errors import UserError

# Numbers are of ASCII digits, and so short that Int32 holds them. What stands around fold and part (DFEW_…, …_faces)
# is the set of lists that a file belongs to: some published folders hold those of several datasets.
SET = "(?:set|fold|split)"
NAME = re.compile(
    rf"(?P<prefix>(?:[a-z0-9]+[_-])*?)(?:{SET}[_-]?(?P<fold>[0-9]{{1,9}})?[_-])?(?P<part>{'|'.join(PARTS)})"
    rf"(?:[_-]?{SET})?(?:[_-]?(?P<last>[0-9]{{1,9}}))?(?P<suffix>(?:[_-][a-z]+)*)\.txt",
    re.IGNORECASE,
)
FORM = r"^(?P<folder>.+?)\s+(?P<frames>[0-9]{1,9})\s+(?P<label>[0-9]{1,9})$"
# To recognise a list, more is asked of a line: a path (with blanks only where it has folders) and an id of a class.
LINE = re.compile(r"(?:\S+|.*[/\\].*)\s+[0-9]{1,9}\s+[0-9]{1,2}")
# Ids from 0. The seven are Former-DFER's; those after them are of MAFW, as DFER-CLIP lists it.
ORDER = ("happiness", "sadness", "neutral", "anger", "surprise", "disgust", "fear", *CLASSES[len(SEVEN) :])
SIZES = (len(SEVEN), len(ORDER))


def fits(root: Path) -> bool:
    """Whether it is such a file, or a folder that holds one."""
    return any(_is_list(file) for file in _named_as_lists(root))


def read(root: Path, _: Options) -> Rows:
    """One row a frame folder. root: a folder of lists, or one of them, which stands for all parts and folds of it.

    Raises UserError where a list is malformed, lists contradict each other, or are of several datasets.
    """
    files = _files(root)
    base = root if root.is_dir() else root.parent
    entries = pl.concat(_entries(file) for file in files)
    here, moved = moved_here(entries["folder"], Path(os.path.abspath(base)))  # noqa: PTH100 (links stay)
    base, paths = below_one_root(here, base)
    entries, ids = _named(entries.with_columns(path=paths, clip_id=paths).drop("folder"))
    rows, problems = one_row_a_clip(entries)
    rows, strange = read_labels(rows, CLASSES)
    rows, unlocated = listed_clips.locate(rows, base)
    short = _short(rows, base)
    return Rows(table=rows, problems=(*problems, *moved, *ids, *strange, *unlocated, *short), root=base)


def _files(root: Path) -> list[Path]:
    """The lists that belong together: those of a folder, or those of the set that a file is of.

    All files with their names: one whose lines are of another form is an error, not another file.
    """
    sets: dict[tuple, list[Path]] = {}
    for file in _named_as_lists(root.parent if root.is_file() else root):
        sets.setdefault(_set(file), []).append(file)
    if root.is_file():
        sets = {key: files for key, files in sets.items() if key == _set(root)}
    sets = {key: files for key, files in sets.items() if any(map(_is_list, files))} or sets
    if not sets:
        raise UserError(
            f"{root}: no list such as set_1_train.txt with lines `<frame folder> <frames> <label id>`"
        )
    if len(sets) > 1:
        names = ", ".join(files[0].name for files in sets.values())
        raise UserError(
            f"{root} holds lists of several datasets ({names}); give one of these files: all parts and folds "
            "of its dataset are read"
        )
    return next(iter(sets.values()))


def _named_as_lists(root: Path) -> list[Path]:
    """The files in a folder, or the one, whose names are those of lists."""
    files = [root] if root.is_file() else sorted(root.glob("*.[tT][xX][tT]"))
    return [file for file in files if NAME.fullmatch(file.name)]


def _set(file: Path) -> tuple:
    """What lists have in common that belong together: the name without fold and part, and whether it has a fold."""
    named = NAME.fullmatch(file.name)
    return (named["prefix"].lower(), named["suffix"].lower(), _fold(file) is None) if named else ()


def _is_list(file: Path) -> bool:
    """Whether it is a file whose first line with something in it is of the form."""
    if not file.is_file():
        return False
    with file.open(encoding="utf-8-sig", errors="replace") as lines:
        first = next((line for line in lines if line.strip()), "")
    return LINE.fullmatch(first.strip()) is not None


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
    """Label ids to names: from 0, or from 1, as some write them; what has no 0 is reported."""
    ids = entries["label"].cast(pl.Int64)
    shifted = ids.min() == 1 and ids.max() in SIZES
    names = {str(number + shifted): name for number, name in enumerate(ORDER)}
    named = entries.with_columns(pl.col("label").cast(pl.Int64).cast(pl.String).replace(names))
    if ids.min() == 0:
        return named, []
    text = f"{len(entries)} label ids run from {ids.min()} to {ids.max()}: "
    # Without a 7 they may be of a list of 0–6 that lacks its first class, or one of 1–7 that lacks its last.
    text += f"1 is read as {ORDER[0]}" if shifted else f"no id 0; read as from 0, so that 1 is {ORDER[1]}"
    return named, [Problem(kind="labels", count=len(entries), text=text)]


def _short(rows: pl.DataFrame, root: Path) -> list[Problem]:
    """Frame folders that hold some images, but less than half of those that their list says: a broken unpacking."""
    folders = rows.filter(pl.col("kind") == FRAME_FOLDER)
    halves = folders.select("path", (pl.col("frames").cast(pl.Int64) + 1) // 2).iter_rows()
    short = [path for path, half in halves if 0 < listed_clips.images_in(root / path, half) < half]
    text = "frame folders hold less than half of the images that the list says"
    return problem("images", text, pl.Series(short, dtype=pl.String))


READER = Reader(
    name="lists",
    title="lists in the style of Former-DFER",
    fits=fits,
    read=read,
    expects=(
        "set_{1..5}_{train,test}.txt (or fold_…, DFEW_set_…), or {train,test}.txt; lines `<frame folder> <frames> "
        "<label id>`: folders absolute or relative to the list's, ids 0–10: " + ", ".join(ORDER),
    ),
    protocol="the folds or the split that the lists' names say",
    classes=ORDER,
    cite="the form: Zhao, Liu 2021, Former-DFER, ACM Multimedia",
)
