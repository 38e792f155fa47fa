"""From a dataset's folder to its manifest: all readers, and which one is used.

To add a dataset, write layouts/NAME.py with a READER and add it to READERS (see README.md in this folder).
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from dfer.data_manifest.disk.folder_contents import subfolders
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
from dfer.data_manifest.layouts.stills import affectnet, fer2013, ferplus, image_folders, raf_db
from dfer.data_manifest.problems import Problem
from dfer.data_manifest.reader import Options, Reader, Rows
from dfer.schemas.manifest import FRAME_FOLDER, MANIFEST_SCHEMA
from dfer.schemas.support.errors import UserError

AUTO = "auto"

# The first that fits is used; every folder fits the last.
READERS: tuple[Reader, ...] = (
    dfew.READER,
    ferv39k.READER,
    mafw.READER,
    afew.READER,
    ferplus.READER,
    fer2013.READER,
    raf_db.READER,
    affectnet.READER,
    table.READER,
    former_dfer_lists.READER,
    crema_d.READER,
    ravdess.READER,
    image_folders.READER,
    label_folders.READER,
)

READ_A_FILE = (table.READER, former_dfer_lists.READER, fer2013.READER)
LEVELS_UP = 2  # how far above an inner folder a dataset's own folder is, as in Clip/clip_224x224
LOOKED_INTO = 20  # subfolders, for a dataset's typical folders; a folder of clips may have thousands


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A dataset's clips.

    dataset: its name
    labels: label names, sorted: those that occur, or those that the votes are for
    clips: table with MANIFEST_SCHEMA, sorted by clip_id
    root: the folder that the paths are relative to; None if only the table is known, as in a cache
    problems: what was wrong with the dataset's files
    face_crops: whether its frame folders contain face crops
    """

    dataset: str
    labels: tuple[str, ...]
    clips: pl.DataFrame
    root: Path | None = None
    problems: tuple[Problem, ...] = ()
    face_crops: bool = False


def read_manifest(root: Path, dataset: str = AUTO, options: Options | None = None) -> Manifest:
    """Read a dataset's folder, or a table or list of clips.

    root: the folder or file
    dataset: a reader's name, or AUTO to recognise it
    options: what the user asked for

    Raises UserError if it is missing or unreadable, has no clips, contradicts itself, or two clips share an id.
    """
    if not root.exists():
        raise UserError(f"{root}: no such file or folder; check the path")
    reader, options = choose_reader(root, dataset), options or Options()
    if options.compound and not reader.compound:
        raise UserError(f"{root}: {reader.name} has no compound labels; leave out --compound")
    rows = reader.read(root, options)
    if rows.table.is_empty():
        raise UserError(
            f"{root}: no clips found; give a folder with videos, GIFs, folders of images or stills"
        )
    clips = _with_all_columns(rows)
    _refuse_equal_ids(clips, root)
    return Manifest(
        dataset=options.name or rows.dataset or reader.name,
        labels=rows.labels or tuple(clips["label"].drop_nulls().unique().sort()),
        clips=clips,
        root=rows.root or root,
        problems=rows.problems,
        face_crops=(reader.face_crops or rows.face_crops) and (clips["kind"] == FRAME_FOLDER).any(),
    )


def choose_reader(root: Path, dataset: str) -> Reader:
    """Return the named reader, or for AUTO the first that fits. Raises UserError if there is none."""
    if dataset != AUTO:
        named = next((reader for reader in READERS if reader.name == dataset), None)
        if named is None:
            known = ", ".join(reader.name for reader in READERS)
            raise UserError(f"--dataset {dataset}: unknown; choose one of {AUTO}, {known}")
        if root.is_file() and named not in READ_A_FILE:
            raise UserError(f"{root}: a file; give the folder that contains the clips")
        return named
    fitting = next((reader for reader in READERS if reader.fits(root)), None)
    if fitting is None:
        raise UserError(
            f"{root}: neither a video, an image, a table nor a list of clips; give a video, the folder that contains "
            "the clips, a .csv or .parquet table, or a list of frame folders"
        )
    if fitting is label_folders.READER:
        _refuse_incomplete_dataset(root)
        fer2013.refuse_unusable(root)
        image_folders.refuse_unclear(root)
    return fitting


def _refuse_incomplete_dataset(root: Path) -> None:
    """Raise UserError if a folder that no dataset's reader accepts has, or is in, a folder typical of a dataset.

    Read as a plain tree it would give odd labels, such as "Clip".
    """
    plain, around = label_folders.READER.name, list(_surroundings(root))
    for reader in (reader for reader in READERS if reader.traces):
        typical = re.compile(f"(?:^|/)(?:{reader.traces})(?=/|$)", re.IGNORECASE)
        found = next(filter(typical.search, around), None)
        if found:
            missing = [item for item in reader.expects if not (root / item.split("/")[0]).exists()]
            raise UserError(
                f"{root}: the folder {found} looks like {reader.name}, but this is missing or incomplete here: "
                f"{'; '.join(missing or reader.expects)}; complete it, give {reader.name}'s top folder, or choose "
                f"--dataset {reader.name} or --dataset {plain} (any tree)"
            )


def _surroundings(root: Path) -> Iterator[str]:
    """Paths of the folders in `root`, of those in them, and the end of its own path."""
    names = subfolders(root)
    yield from names
    for name in names[:LOOKED_INTO]:
        yield from (f"{name}/{below}" for below in subfolders(root / name))
    own = Path(os.path.abspath(root))  # noqa: PTH100 (where a link leads is another place)
    yield "/".join(own.parts[1:][-LEVELS_UP - 1 :])


def _with_all_columns(rows: Rows) -> pl.DataFrame:
    """The rows with all columns of MANIFEST_SCHEMA, sorted by id."""
    columns = [
        pl.col(name).cast(kind) if name in rows.table.columns else pl.lit(None, kind).alias(name)
        for name, kind in MANIFEST_SCHEMA.items()
    ]
    clips = rows.table.select(columns)
    return clips if clips["clip_id"].is_sorted() else clips.sort("clip_id")


def _refuse_equal_ids(clips: pl.DataFrame, root: Path) -> None:
    """clips: sorted by id."""
    ids = clips["clip_id"]
    same = (ids == ids.shift(1)).fill_null(False)
    equal = clips.filter(same | same.shift(-1, fill_value=False))
    if len(equal):
        paths = ", ".join(equal["path"].head(3))
        raise UserError(
            f"{root}: {len(equal)} clips share an id with another ({paths}); rename or remove them"
        )
