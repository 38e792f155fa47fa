"""What a dataset's reader is, what it is asked and what it returns."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from dfer.data_manifest.problems import Problem


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the user asked for.

    compound: keep clips with several emotions (MAFW), labelled anger_disgust
    name: the dataset's name, where it is not the reader's, as for a table
    """

    compound: bool = False
    name: str | None = None


@dataclass(frozen=True, kw_only=True)
class Rows:
    """What a reader found.

    table: one row per clip with clip_id, path, kind, and any other columns of MANIFEST_SCHEMA
    problems: what was wrong with the files
    root: the folder that the paths are relative to; None for the folder that was read
    dataset: the dataset's name, if not the reader's
    face_crops: whether its frame folders contain face crops, if that depends on the file
    labels: the classes that the votes are for, in the order of the votes, sorted; without votes, the classes are
        those that occur
    """

    table: pl.DataFrame
    problems: tuple[Problem, ...] = ()
    root: Path | None = None
    dataset: str | None = None
    face_crops: bool = False
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Reader:
    """How one dataset is recognised and read, and what `pipeline datasets` prints about it.

    name: for --dataset
    title: its full name
    fits: whether a folder or file looks like this dataset, from a few names
    read: its clips; raises UserError, one line, if the files cannot be used
    expects: the files and folders it needs, one per line
    protocol: how it is split, and the flags for that
    traces: regular expression of folder names that only this dataset has, case ignored; a tree with such a folder
        that does not fit is an incomplete copy, or the wrong folder of one
    compound: whether it supports Options.compound
    face_crops: whether its frame folders contain face crops
    classes: canonical label names; empty where the data decide
    counts: clips as published
    licence: what its licence or agreement is called
    cite: authors, year, title, venue
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
