"""Lists in the style of Former-DFER: `<frame folder> <number of frames> <label id>`, one file per fold and part.

The file's name states the part, and the fold if there are several: set_1_train.txt, DFEW_set_1_test.txt, train.txt.
"""

import os
import re
from dataclasses import replace
from pathlib import Path

import polars as pl

from dfer.data_manifest.disk.common_root import below_one_root
from dfer.data_manifest.disk.folder_contents import images_in
from dfer.data_manifest.disk.listed_clips import read_listed
from dfer.data_manifest.disk.other_machine_paths import reroot
from dfer.data_manifest.labels import ELEVEN, SEVEN
from dfer.data_manifest.official_splits import SPLIT_NAMES
from dfer.data_manifest.problems import Problem, report
from dfer.data_manifest.reader import Options, Reader, Rows
from dfer.data_manifest.text_files import read_lines
from dfer.schemas.manifest import FRAME_FOLDER
from dfer.schemas.support.errors import UserError

# Numbers have ASCII digits, and few enough for Int32. What surrounds fold and part (DFEW_…, …_faces) names the set of
# lists that a file belongs to: some published folders have the lists of several datasets.
SET = "(?:set|fold|split)"
NAME = re.compile(
    rf"(?P<prefix>(?:[a-z0-9]+[_-])*?)(?:{SET}[_-]?(?P<fold>[0-9]{{1,9}})?[_-])?(?P<part>{'|'.join(SPLIT_NAMES)})"
    rf"(?:[_-]?{SET})?(?:[_-]?(?P<last>[0-9]{{1,9}}))?(?P<suffix>(?:[_-][a-z]+)*)\.txt",
    re.IGNORECASE,
)
FORM = r"^(?P<folder>.+?)\s+(?P<frames>[0-9]{1,9})\s+(?P<label>[0-9]{1,9})$"
# Stricter, to recognise a list: a path (with blanks only if it has folders) and the id of a class.
FIRST_LINE = re.compile(r"(?:\S+|.*[/\\].*)\s+[0-9]{1,9}\s+[0-9]{1,2}")
# Ids from 0. The seven are Former-DFER's; the others are MAFW's, as DFER-CLIP lists them.
ORDER = ("happiness", "sadness", "neutral", "anger", "surprise", "disgust", "fear", *ELEVEN[len(SEVEN) :])
CLASS_COUNTS = (len(SEVEN), len(ELEVEN))


def fits(root: Path) -> bool:
    """Whether it is such a file, or a folder that contains one."""
    return any(_is_list(file) for file in _named_as_lists(root))


def read(root: Path, _: Options) -> Rows:
    """Read one row per frame folder.

    root: a folder of lists, or one list (all parts and folds of its set are read)

    Raises UserError if a list is malformed, or lists contradict each other or belong to several datasets.
    """
    files = _files(root)
    base = root if root.is_dir() else root.parent
    entries = pl.concat(_entries(file) for file in files)
    here, moved = reroot(entries["folder"], Path(os.path.abspath(base)))  # noqa: PTH100 (keeps links)
    base, paths = below_one_root(here, base)
    entries, ids = _named_labels(entries.with_columns(path=paths, clip_id=paths).drop("folder"))
    rows = read_listed(entries, base, ELEVEN)
    return replace(rows, root=base, problems=(*moved, *ids, *rows.problems, *_incomplete(rows.table, base)))


def _files(root: Path) -> list[Path]:
    """The lists of one set: the only one in a folder, or the one that a file belongs to.

    All files with its names: one whose lines have another form is an error, not another file.
    """
    sets: dict[tuple, list[Path]] = {}
    for file in _named_as_lists(root.parent if root.is_file() else root):
        sets.setdefault(_set(file), []).append(file)
    if root.is_file():
        sets = {key: files for key, files in sets.items() if key == _set(root)}
    sets = {key: files for key, files in sets.items() if any(map(_is_list, files))} or sets
    if not sets:
        raise UserError(
            f"{root}: no list such as set_1_train.txt with lines `<frame folder> <frames> <label id>`; add one"
        )
    if len(sets) > 1:
        names = ", ".join(files[0].name for files in sets.values())
        raise UserError(
            f"{root}: lists of several datasets ({names}); give one of these files, and all parts and folds of its "
            "dataset are read"
        )
    return next(iter(sets.values()))


def _named_as_lists(root: Path) -> list[Path]:
    """The files in a folder, or the one file, that have a list's name."""
    files = [root] if root.is_file() else sorted(root.glob("*.[tT][xX][tT]"))
    return [file for file in files if NAME.fullmatch(file.name)]


def _set(file: Path) -> tuple:
    """What lists of one set share: the name without fold and part, and whether it has a fold."""
    named = NAME.fullmatch(file.name)
    return (named["prefix"].lower(), named["suffix"].lower(), _fold(file) is None) if named else ()


def _is_list(file: Path) -> bool:
    """Whether the first line that is not empty has the form of a list."""
    if not file.is_file():
        return False
    with file.open(encoding="utf-8-sig", errors="replace") as lines:
        first = next((line for line in lines if line.strip()), "")
    return FIRST_LINE.fullmatch(first.strip()) is not None


def _fold(file: Path) -> int | None:
    """The fold in a list's name."""
    named = NAME.fullmatch(file.name)
    fold = named["fold"] or named["last"]
    return int(fold) if fold else None


def _entries(file: Path) -> pl.DataFrame:
    """One list: folder, frames, label id, part, fold, file, line."""
    lines = read_lines(file, FORM, "path/to/00001 120 3")
    if lines.is_empty():
        raise UserError(f"{file}: no clips in it; fill or remove it")
    part = SPLIT_NAMES[NAME.fullmatch(file.name)["part"].lower()]
    return lines.with_columns(part=pl.lit(part), fold=pl.lit(_fold(file), pl.Int32))


def _named_labels(entries: pl.DataFrame) -> tuple[pl.DataFrame, list[Problem]]:
    """Label ids to names. Ids count from 0; without a 0 they are reported, and from 1 if that fills a class list."""
    ids = entries["label"].cast(pl.Int64)
    from_one = ids.min() == 1 and ids.max() in CLASS_COUNTS
    names = {str(number + from_one): name for number, name in enumerate(ORDER)}
    named = entries.with_columns(pl.col("label").cast(pl.Int64).cast(pl.String).replace(names))
    if ids.min() == 0:
        return named, []
    # Without the highest id this could be either: a list from 0 without its first class, or from 1 without its last.
    start = f"1 (1 is {ORDER[0]})" if from_one else f"0 (1 is {ORDER[1]})"
    text = f"label ids {ids.min()} to {ids.max()} without a 0, read as counted from {start}"
    return named, [Problem(kind="labels", text=text, count=len(entries))]


def _incomplete(rows: pl.DataFrame, root: Path) -> list[Problem]:
    """Frame folders with some images, but fewer than half of the listed number: unpacking broke off."""
    folders = rows.filter(pl.col("kind") == FRAME_FOLDER)
    halves = folders.select("path", (pl.col("frames").cast(pl.Int64) + 1) // 2).iter_rows()
    short = [path for path, half in halves if 0 < images_in(root / path, half) < half]
    text = "frame folders with fewer than half of the listed images"
    return report("images", text, pl.Series(short, dtype=pl.String))


READER = Reader(
    name="lists",
    title="lists in the style of Former-DFER",
    fits=fits,
    read=read,
    expects=(
        "set_{1..5}_{train,test}.txt (or fold_…, DFEW_set_…), or {train,test}.txt",
        "lines `<frame folder> <frames> <label id>`: the folder absolute or relative to the list, ids from 0 in the "
        "order of the classes",
    ),
    protocol="the folds or the split in the lists' names",
    classes=ORDER,
    cite="the format: Zhao, Liu 2021, Former-DFER, ACM Multimedia",
)
