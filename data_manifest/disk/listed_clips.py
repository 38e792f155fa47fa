"""Which of the clips that a list names are on disk: each parent folder is read once, then everything is a join."""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path, PurePosixPath

import polars as pl

from dfer.data_manifest.disk.file_types import IMAGE_SUFFIXES, VIDEO_SUFFIXES, suffix_of
from dfer.data_manifest.disk.find_clips import (
    FOUND_SCHEMA,
    Found,
    check_name,
    is_text,
    size_of,
)
from dfer.data_manifest.problems import Problem, problem
from dfer.schemas.manifest import FRAME_FOLDER, MISSING, VIDEO
from dfer.schemas.support.errors import UserError

OTHER = "other"  # the kind of a file that is neither video nor folder
PARENT = (
    pl.col("path").str.extract(r"(?s)^(.*)/", 1).fill_null("")
)  # the folder that holds a path; "" is the root
HIDDEN = pl.col("path").str.contains(r"(?:^|/)\.[^/]*$")


def locate(
    rows: pl.DataFrame, root: Path, left_out: pl.Series | None = None
) -> tuple[pl.DataFrame, list[Problem]]:
    """Add `kind` and `bytes` to rows with a `path` below `root`, as the disk has them; kind MISSING where it has not.

    Reports missing clips, empty frame folders, and the clips beside them that no row names, nor `left_out`, the
    paths of those that a list names and that are not wanted.
    Raises UserError where there are no rows, or a folder cannot be read.
    """
    if rows.is_empty():
        raise UserError(f"no clips in {root}: its lists name none")
    entries = list_parents(root, rows["path"])
    rows = _spelt_as_on_disk(rows, entries["path"])
    located = rows.join(entries.select("path", "kind", "bytes"), on="path", how="left", maintain_order="left")
    missing = located["path"].filter(located["kind"].is_null())
    unread = located["path"].filter(located["kind"] == OTHER)
    located = located.with_columns(pl.col("kind").replace(OTHER, MISSING).fill_null(MISSING))
    folders = located["path"].filter(located["kind"] == FRAME_FOLDER).unique()
    empty = pl.Series([path for path in folders if not images_in(root / path, 1)], dtype=pl.String).sort()
    extra = _extras(entries, located)
    if left_out is not None:
        extra = extra.filter(~extra.is_in(left_out.implode()))
    return located, [
        *problem("missing", f"of {len(rows)} clips are listed but not on disk", missing),
        *problem(
            "missing", f"of {len(rows)} clips are on disk, but not as a kind of file that is read", unread
        ),
        *problem("empty", "frame folders hold no image", empty),
        *problem("extra", "clips on disk are in no list; they are left out", extra),
    ]


def list_parents(root: Path, paths: pl.Series) -> pl.DataFrame:
    """What the parent folders of these paths hold (FOUND_SCHEMA), in order of their paths; other files as OTHER.

    Every folder on the way is read once, from the top, so that those below a missing one cost nothing.
    """
    levels = [_parents(paths)]
    while levels[-1].to_list() not in ([], [""]):
        levels.append(_parents(levels[-1]))
    wanted = pl.concat(levels).unique().str.normalize("NFC")
    found: list[Found] = []
    reachable = [""] if len(wanted) else []
    while reachable:
        below = [entry for folder in reachable for entry in _scan(root, folder)]
        found += below
        folders = pl.Series([path for path, kind, _, _ in below if kind == FRAME_FOLDER], dtype=pl.String)
        reachable = folders.filter(folders.str.normalize("NFC").is_in(wanted.implode())).to_list()
    return pl.DataFrame(found, schema=FOUND_SCHEMA, orient="row").sort("path")


def list_tree(root: Path, folder: str, depth: int) -> pl.DataFrame:
    """What a folder below `root` holds (FOUND_SCHEMA), and its folders in turn, so many levels deep; hidden ones
    are passed over."""
    found: list[Found] = []
    level = [folder]
    for _ in range(depth):
        below = [entry for path in level for entry in _scan(root, path) if "/." not in entry[0][len(path) :]]
        found += below
        level = [path for path, kind, _, _ in below if kind == FRAME_FOLDER]
    return pl.DataFrame(found, schema=FOUND_SCHEMA, orient="row").sort("path")


def images_in(folder: Path, at_most: int) -> int:
    """How many images there are in a folder; no more than `at_most` are looked for, and as many are said to be in a
    folder that cannot be read, which its own extraction will say."""
    try:
        with os.scandir(folder) as entries:
            images = (suffix_of(entry.name) in IMAGE_SUFFIXES for entry in entries if entry.name[0] != ".")
            return len(list(islice(filter(None, images), at_most)))
    except OSError:
        return at_most


def _spelt_as_on_disk(rows: pl.DataFrame, found: pl.Series) -> pl.DataFrame:
    """Paths with an é as the disk has it, in one sign or as e with an accent (a Mac's way): they look alike."""
    plain = rows.select((pl.col("path").str.len_bytes() == pl.col("path").str.len_chars()).all()).item()
    if plain:
        return rows
    others = found.filter(~found.is_in(rows["path"].implode())).to_frame("_disk")
    others = others.with_columns(_key=pl.col("_disk").str.normalize("NFC"))
    others = others.unique("_key", keep="first", maintain_order=True)
    absent = ~pl.col("path").is_in(found.implode())
    keyed = rows.with_columns(_key=pl.when(absent).then(pl.col("path").str.normalize("NFC")))
    spelt = keyed.join(others, on="_key", how="left", maintain_order="left")
    return spelt.with_columns(path=pl.coalesce("_disk", "path")).drop("_key", "_disk")


def _parents(paths: pl.Series) -> pl.Series:
    """The different folders that hold these paths; "" is the root."""
    return paths.to_frame("path").select(PARENT.unique())["path"]


def _scan(root: Path, folder: str) -> Iterator[Found]:
    """The videos, folders and OTHER files in one folder, hidden ones too: a list may name them."""
    try:
        with os.scandir(root / folder) as entries:
            for entry in entries:
                path = f"{folder}/{entry.name}" if folder else entry.name
                if entry.is_dir():
                    check_name(PurePosixPath(path))
                    yield path, FRAME_FOLDER, None, 0
                elif suffix_of(entry.name) in VIDEO_SUFFIXES:
                    check_name(PurePosixPath(path))
                    yield path, VIDEO, size_of(entry), 0
                elif is_text(path):
                    yield path, OTHER, None, 0
    except FileNotFoundError:
        return  # the root itself, or a folder that went away in between: its clips are missing
    except OSError as error:
        raise UserError(
            f"{root / folder}: {error.strerror}; make it readable, or mend the paths that lead there"
        ) from None


def _extras(entries: pl.DataFrame, located: pl.DataFrame) -> pl.Series:
    """Videos beside listed clips, and folders beside listed frame folders, that are no listed clip and hold none."""
    found = located.filter(pl.col("kind") != MISSING)
    parents = located.select(PARENT.alias("path").unique())["path"]
    holders = pl.concat([parents, _parents(parents)]).unique()
    others = entries.filter(~HIDDEN).join(located, on="path", how="anti").with_columns(parent=PARENT)
    beside = {VIDEO: found, FRAME_FOLDER: found.filter(kind=FRAME_FOLDER)}
    parts = [
        others.filter(kind=kind).join(clips.select(parent=PARENT).unique(), on="parent", how="semi")
        for kind, clips in beside.items()
    ]
    return pl.concat(parts).filter(~pl.col("path").is_in(holders.implode()))["path"].sort()
