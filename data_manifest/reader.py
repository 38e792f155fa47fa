"""What a dataset's reader is and what it returns."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from dfer.data_manifest.problems import Problem


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a user may ask for. compound: keep clips with several emotions (MAFW), as `anger_disgust`; name: what the
    dataset is called, where that is not its reader's name, as for a table."""

    compound: bool = False
    name: str | None = None


@dataclass(frozen=True, kw_only=True)
class Rows:
    """What a reader found: a table with some columns of MANIFEST_SCHEMA (clip_id, path and kind at least).

    root: the folder that the paths are relative to; None: the one that was asked for.
    """

    table: pl.DataFrame
    problems: tuple[Problem, ...] = ()
    root: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Reader:
    """How one dataset is read, and what `pipeline datasets` says of it.

    fits: whether a folder or file looks like this dataset, from a few names.
    read: its clips. Raises UserError, one line, where its files cannot be used.
    traces: a regular expression of folder names, in any case, that only this dataset has: a tree with one of them
    that does not fit is this dataset, but not whole. compound: whether it heeds `Options.compound`; face_crops:
    whether its frame folders hold face crops.
    expects: what lies where, a line each; classes: canonical names, none where the data decide;
    counts: as published; licence: what its page or agreement is called; cite: authors, year, venue.
    """

    name: str
    title: str
    fits: Callable[[Path], bool]
    read: Callable[[Path, Options], Rows]
    expects: tuple[str, ...]
    protocol: str
    traces: str = ""
    compound: bool = False
    face_crops: bool = False
    classes: tuple[str, ...] = ()
    counts: str = ""
    licence: str = ""
    cite: str = ""
