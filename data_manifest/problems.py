"""What is wrong with a dataset's files and does not stop the reading: each kind counted, with examples."""

import re
from dataclasses import dataclass

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
