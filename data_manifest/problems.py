"""Problems of a dataset's files that do not stop the reading: each counted, with a few examples."""

from dataclasses import dataclass

import polars as pl

EXAMPLES = 3


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong with a dataset's files.

    kind: a word for programs: missing, extra, duplicate, labels, unknown label, unknown name, empty, images, skipped,
        folds, folders, table, compound, left out, scene groups, no label, no split, no fold
    text: what is wrong and what was done about it, without the count
    count: how many clips, images, folders, … it concerns
    total: out of how many; None where that says nothing
    examples: up to EXAMPLES of them
    """

    kind: str
    text: str
    count: int
    total: int | None = None
    examples: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """All of it in one line: "listed but not on disk: 2 of 14 (a.mp4, b.mp4)"."""
        of = f" of {self.total}" if self.total is not None else ""
        more = ", …" if self.count > len(self.examples) else ""
        named = f" ({', '.join(self.examples)}{more})" if self.examples else ""
        return f"{self.text}: {self.count}{of}{named}"


def report(kind: str, text: str, found: pl.Series, total: int | None = None) -> list[Problem]:
    """Make one problem of all values of a series, with the first as examples; none of an empty series."""
    if found.is_empty():
        return []
    examples = tuple(map(str, found.head(EXAMPLES)))
    return [Problem(kind=kind, text=text, count=len(found), total=total, examples=examples)]
