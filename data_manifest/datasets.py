"""From a dataset's folder to its manifest: which readers there are, and which one fits.

A new dataset is a module with a READER beside this one, and its line in READERS.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from dfer.data_manifest.disk.find_clips import subfolders
from dfer.data_manifest.layouts import (
    afew,
    crema_d,
    dfew,
    ferv39k,
    former_dfer_lists,
    label_folders,
    mafw,
    ravdess,
    table,
)
from dfer.data_manifest.problems import Problem
from dfer.data_manifest.reader import Options, Reader, Rows
from dfer.schemas.manifest import FRAME_FOLDER, MANIFEST_SCHEMA
from dfer.schemas.support.errors import UserError

AUTO = "auto"

# The first that fits is taken; any folder fits the last.
READERS: tuple[Reader, ...] = (
    dfew.READER,
    ferv39k.READER,
    mafw.READER,
    afew.READER,
    table.READER,
    former_dfer_lists.READER,
    crema_d.READER,
    ravdess.READER,
    label_folders.READER,
)

# A part of these is read as well as the whole: their files' names say all. To ask them of a folder walks through it.
BY_FILE_NAME = (crema_d.READER, ravdess.READER)

DEPTH = 2  # folders up to which a part of a dataset lies below it, as Clip/clip_224x224 does
NEIGHBOURS = 20  # folders in which a known dataset is looked for; one of clips may hold thousands


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A dataset's clips: its name, its label names in order, and a table with MANIFEST_SCHEMA.

    root: the folder that the paths are relative to; None where only the table is known, as in a cache.
    problems: what was wrong with the dataset's files. face_crops: whether its frame folders hold face crops.
    """

    dataset: str
    labels: tuple[str, ...]
    clips: pl.DataFrame
    root: Path | None = None
    problems: tuple[Problem, ...] = ()
    face_crops: bool = False


def read_manifest(root: Path, dataset: str = AUTO, options: Options | None = None) -> Manifest:
    """Read a dataset's folder (or a table or list of clips): every clip, its label, and what else is known of it.

    dataset: a reader's name, or AUTO to recognise it.
    Raises UserError where it is missing or unreadable, holds no clip, contradicts itself, or gives two clips one id.
    """
    if not root.exists():
        raise UserError(f"no such file or folder: {root}")
    reader, options = choose_reader(root, dataset), options or Options()
    if options.compound and not reader.compound:
        raise UserError(f"{root}: {reader.name} has no compound labels; leave out --compound")
    rows = reader.read(root, options)
    if rows.table.is_empty():
        raise UserError(f"no clips in {root}: it holds no video, GIF or folder of images")
    clips = _whole(rows)
    ids = clips["clip_id"]  # sorted, so that equal ones are neighbours
    same = (ids == ids.shift(1)).fill_null(False)
    twice = clips.filter(same | same.shift(-1, fill_value=False))
    if len(twice):
        paths = ", ".join(twice["path"].head(3))
        raise UserError(
            f"{root}: {len(twice)} clips share an id with another ({paths}); rename or remove them"
        )
    labels = tuple(clips["label"].drop_nulls().unique().sort())
    return Manifest(
        dataset=options.name or reader.name,
        labels=labels,
        clips=clips,
        root=rows.root or root,
        problems=rows.problems,
        face_crops=reader.face_crops and (clips["kind"] == FRAME_FOLDER).any(),
    )


def choose_reader(root: Path, dataset: str) -> Reader:
    """The reader of this name, or for AUTO the first that fits. Raises UserError where there is none."""
    if dataset != AUTO:
        named = next((reader for reader in READERS if reader.name == dataset), None)
        if named is None:
            known = ", ".join(reader.name for reader in READERS)
            raise UserError(f"--dataset {dataset}: unknown; it is one of {AUTO}, {known}")
        if root.is_file() and named not in (table.READER, former_dfer_lists.READER):
            raise UserError(f"{root} is a file; give the folder that holds the clips")
        return named
    fitting = next((reader for reader in READERS if reader.fits(root)), None)
    if fitting is None:
        raise UserError(
            f"{root} is a file; give the folder that holds the clips, a .csv or .parquet table, "
            "or a list of frame folders"
        )
    if fitting is label_folders.READER:
        _refuse_what_is_not_whole(root)
    return fitting


def _refuse_what_is_not_whole(root: Path) -> None:
    """Raise UserError for what only `folders` fits, but is a part of a known dataset, or the folder above it."""
    known = [reader for reader in READERS if reader.traces]
    anyway = f"--dataset {label_folders.READER.name} reads it as any tree"
    names = subfolders(root)
    # Not resolved: where a link leads, no dataset need be around it.
    above = Path(os.path.abspath(root)).parents[:DEPTH]  # noqa: PTH100
    for folder, reader in ((f, r) for f in above for r in known if r not in BY_FILE_NAME):
        if reader.fits(folder):
            raise UserError(
                f"{root} is a part of {folder}, which looks like {reader.name}; give that ({anyway})"
            )
    paths = [*names, *(f"{name}/{below}" for name in names[:NEIGHBOURS] for below in subfolders(root / name))]
    for reader in known:
        trace = next((path for path in paths if re.fullmatch(reader.traces, path, re.IGNORECASE)), None)
        if trace:
            lacking = [line for line in reader.expects if not (root / line.split("/")[0]).exists()]
            raise UserError(
                f"{root}: its folder {trace} looks like {reader.name}, but the rest does not, which expects "
                f"{'; '.join(lacking or reader.expects)}. Mend that, or say --dataset {reader.name} ({anyway})"
            )
    for name, reader in ((name, reader) for name in names[:NEIGHBOURS] for reader in known):
        if reader.fits(root / name):
            raise UserError(
                f"{root / name} looks like {reader.name}; give that folder, with all of the dataset in it: clips "
                f"beside lists ({anyway})"
            )


def _whole(rows: Rows) -> pl.DataFrame:
    """The rows with all columns of MANIFEST_SCHEMA, in order of their ids."""
    columns = [
        pl.col(name).cast(kind) if name in rows.table.columns else pl.lit(None, kind).alias(name)
        for name, kind in MANIFEST_SCHEMA.items()
    ]
    table = rows.table.select(columns)
    return table if table["clip_id"].is_sorted() else table.sort("clip_id")
