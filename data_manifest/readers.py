"""What a dataset's reader is, and what it hands over: a table of clips, and what was wrong with the files."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

EXAMPLES = 3  # named in a problem

# The first noun and verb of a problem's text, by which one is told from several.
NOUN = re.compile(r"^((?:frame |silent )?)(clip|label|image|folder|row|video|table)s\b")
VERB = re.compile(r"\b(?:are|have|contradict|hold|lie|say|show)\b")
SINGULAR = {"are": "is", "have": "has"}


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something about the dataset's files that a user should know of; the clips are read all the same.

    kind: a word for programs ("missing", "extra", "duplicate", "labels", "unknown label", "unknown name", "empty",
    "images", "folds", "folders", "table", "compound", "left out", "scene groups", "no label", "no split", "no
    fold"); count: of clips (or images, folders, tables); text: a sentence that begins with it; examples: a few.
    """

    kind: str
    count: int
    text: str
    examples: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """The whole of it in one line."""
        more = ", …" if self.count > len(self.examples) else ""
        return f"{self.text} ({', '.join(self.examples)}{more})" if self.examples else self.text


def problem(kind: str, text: str, examples: pl.Series) -> list[Problem]:
    """One problem for all values of a series, none for an empty series. text: what follows the count (`sentence`)."""
    count = len(examples)
    if not count:
        return []
    named = tuple(map(str, examples.head(EXAMPLES)))
    return [Problem(kind=kind, count=count, text=sentence(count, text), examples=named)]


def sentence(count: int, text: str) -> str:
    """A count and what follows it, which is written for several: "clips are in no list; they are left out"."""
    if count != 1:
        return f"{count} {text}"
    text = NOUN.sub(r"\1\2", text)  # in "of 14 clips" there are several
    text = VERB.sub(lambda verb: SINGULAR.get(verb[0], f"{verb[0]}s"), text, count=1)
    for several, one in (
        ("they are", "it is"),
        (" and are ", " and is "),
        ("contradicts their", "contradicts its"),
    ):
        text = text.replace(several, one)
    return f"1 {text}"


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
