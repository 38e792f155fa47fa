"""FER+: ten people's answers for each picture of FER2013.

`fer2013new.csv` (Usage, Image name, ten columns of votes) with `fer2013.csv` next to it, whose row k is its row k, or
with the pictures in `FER2013{Train,Valid,Test}/`; or such folders with a `label.csv` each.
"""

from pathlib import Path

import polars as pl

from dfer.data_manifest.disk.any_case import file_in_any_case, first_folder
from dfer.data_manifest.disk.folder_contents import images_in
from dfer.data_manifest.disk.listed_clips import locate
from dfer.data_manifest.labels import SEVEN
from dfer.data_manifest.layouts.stills.fer2013 import (
    USAGES,
    pixel_files,
    read_pixels,
    refuse_unusable,
    without_pixels,
)
from dfer.data_manifest.official_splits import one_row_per_clip
from dfer.data_manifest.problems import Problem, report
from dfer.data_manifest.reader import Options, Reader, Rows
from dfer.data_manifest.text_files import read_lines
from dfer.data_manifest.votes import add_votes
from dfer.schemas.manifest import IMAGE
from dfer.schemas.support.errors import UserError

CLASSES = tuple(sorted((*SEVEN, "contempt")))
NOT_A_FACE = "not a face"
OTHERS = ("unknown", NOT_A_FACE)
WRITTEN = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", *OTHERS)
VOTES = {name: f"votes {number}" for number, name in enumerate(WRITTEN)}  # the column of each answer
LIST = "fer2013new.csv"
FOLDERS = dict(zip(USAGES, ("FER2013Train", "FER2013Valid", "FER2013Test"), strict=True))

NUMBERS = ",".join(f"(?P<v{number}>[0-9]{{1,3}})" for number in range(len(WRITTEN)))
LIST_FORM = rf"^(?P<usage>{'|'.join(USAGES)}),(?P<name>[^,]*),{NUMBERS}$"
LIST_EXAMPLE = "Training,fer0000000.png,4,0,0,1,3,2,0,0,0,0"
LIST_HEADER = "usage,imagename,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,nf"
PART_FORM = rf'^(?P<name>[^,]+),"\([0-9, ]+\)",{NUMBERS}$'
PART_EXAMPLE = 'fer0000000.png,"(0, 0, 48, 48)",4,0,0,1,3,2,0,0,0,0'


def fits(root: Path) -> bool:
    return _list(root).is_file() or any(
        _part_list(root, folder).is_file() for folder in _folders(root).values()
    )


def read(root: Path, _: Options) -> Rows:
    """Read one row per picture. Raises UserError if a list is malformed, or the pictures are not there."""
    if not fits(root):
        raise UserError(
            f"{root}: no {LIST} and no folder {FOLDERS['Training']} with a label.csv; complete it"
        )
    folders, pixels = _folders(root), pixel_files(root)
    if any(images_in(root / folder, 1) for folder in folders.values()):
        lists = {usage: _part_list(root, folder) for usage, folder in folders.items()}
        in_parts = all(file.is_file() for file in lists.values()) or not _list(root).is_file()
        entries = (
            pl.concat(map(_part_entries, lists, lists.values())) if in_parts else _list_entries(_list(root))
        )
        entries, removed = _without_removed(entries)
        path = pl.format("{}/{}", pl.col("usage").replace_strict({**FOLDERS, **folders}), "name")
        entries = entries.with_columns(path=path)
    elif len(pixels) == 1 and _list(root).is_file():
        entries, removed = _without_removed(_paired(_list(root), pixels[0], root))
    else:
        refuse_unusable(root)
        raise UserError(
            f"{root}: the votes of FER+, but no pictures; put fer2013.csv next to {LIST}, or the pictures in "
            f"{', '.join(FOLDERS.values())}"
        )
    classes, others = ({name: VOTES[name] for name in names} for names in (CLASSES, OTHERS))
    rows, tied = add_votes(entries, classes, others)
    rows, repeated = one_row_per_clip(rows)
    if "kind" in rows.columns:
        return Rows(table=rows, problems=(*removed, *tied, *repeated, *without_pixels(rows)), labels=CLASSES)
    rows, located = locate(rows, root)
    return Rows(table=rows, problems=(*removed, *tied, *repeated, *located), labels=CLASSES)


def _list(root: Path) -> Path:
    return file_in_any_case(root / LIST)


def _folders(root: Path) -> dict[str, str]:
    """The folders of pictures that exist, relative to the root, by Usage."""
    found = {usage: first_folder(root, (name, f"data/{name}")) for usage, name in FOLDERS.items()}
    return {usage: folder for usage, folder in found.items() if folder}


def _part_list(root: Path, folder: str) -> Path:
    return file_in_any_case(root / folder / "label.csv")


def _list_entries(file: Path) -> pl.DataFrame:
    """All rows of `fer2013new.csv`, with `name` "" for a picture that the owners removed."""
    return _entries(read_lines(file, LIST_FORM, LIST_EXAMPLE, LIST_HEADER))


def _part_entries(usage: str, file: Path) -> pl.DataFrame:
    return _entries(read_lines(file, PART_FORM, PART_EXAMPLE).with_columns(usage=pl.lit(usage)))


def _entries(lines: pl.DataFrame) -> pl.DataFrame:
    """Entries as for `one_row_per_clip`, with `usage`, `name` and the columns of VOTES."""
    return lines.select(
        "file",
        "line",
        "usage",
        pl.col("name").str.strip_chars(),
        *(pl.col(f"v{k}").cast(pl.Int64).alias(column) for k, column in enumerate(VOTES.values())),
        clip_id=pl.col("name").str.strip_chars().str.replace(r"\.[^.]+$", ""),
        part=pl.col("usage").replace_strict(USAGES),
        fold=pl.lit(None, pl.Int32),
        label=pl.lit(None, pl.String),
    )


def _paired(file: Path, pixels: Path, root: Path) -> pl.DataFrame:
    """The list with the rows of `fer2013.csv`: both have the same pictures in the same order."""
    entries, pictures = _list_entries(file), read_pixels(pixels, root)
    if len(entries) != len(pictures):
        raise UserError(
            f"{file} has {len(entries)} rows and {pixels} has {len(pictures)}; they must be complete and in their "
            "original order"
        )
    both = entries.with_columns(pictures.select("path", "bytes", "split"), kind=pl.lit(IMAGE))
    differ = both.filter(pl.col("split") != pl.col("part"))
    if len(differ):
        raise UserError(
            f"{file}, line {differ['line'][0]}: another Usage than the same row of {pixels}; both must be in their "
            "original order"
        )
    return both.drop("split")


def _without_removed(entries: pl.DataFrame) -> tuple[pl.DataFrame, list[Problem]]:
    """Leave out the pictures that the owners removed: rows without a name, and four with the name of another row."""
    nobody = pl.sum_horizontal(column for name, column in VOTES.items() if name != NOT_A_FACE) == 0
    removed = (pl.col("name") == "") | (pl.col("name").is_duplicated() & nobody)
    lines = entries.filter(removed).select(pl.format("line {}", "line")).to_series()
    text = "rows without an image name of their own, pictures that FER+ removed, left out"
    return entries.filter(~removed), report("left out", text, lines, total=len(entries))


READER = Reader(
    name="ferplus",
    title="FER+, ten votes for each picture of FER2013",
    fits=fits,
    read=read,
    expects=(
        "fer2013new.csv: Usage, Image name, ten columns of votes; with fer2013.csv or the folders below",
        "or FER2013{Train,Valid,Test}/ with pictures and label.csv: name, box, ten votes",
    ),
    traces="fer2013(?:train|valid|test)",
    protocol="train, val and test",
    classes=CLASSES,
    counts="28 558 train, 3579 val, 3573 test pictures of 48 px",
    licence="MIT License (the votes; the pictures are FER2013's)",
    cite="Barsoum, Zhang, Canton Ferrer, Zhang 2016, Training Deep Networks for Facial Expression Recognition with "
    "Crowd-Sourced Label Distribution, ICMI",
)
