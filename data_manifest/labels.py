"""Canonical names of expressions, and the other names that datasets write for them.

A model is told its classes by name; so one that was trained on "happiness" is judged on another dataset's "Happy".
"""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence

import polars as pl

from dfer.data_manifest.problems import Problem, problem, sentence
from dfer.schemas.support.errors import UserError

SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "anger": ("angry", "ang", "an"),
    "disgust": ("disgusted", "dis", "di"),
    "fear": ("fearful", "afraid", "scared", "fea", "fe"),
    "happiness": ("happy", "joy", "joyful", "hap", "ha"),
    "neutral": ("neutrality", "neu", "ne"),
    "sadness": ("sad", "sa"),
    "surprise": ("surprised", "surprising", "sur", "su"),
    "contempt": ("contemptuous", "con", "co"),
    "anxiety": ("anxious", "ax"),
    "helplessness": ("helpless", "hl"),
    "disappointment": ("disappointed", "ds"),
    "calm": ("calmness", "cal"),
}
CANONICAL = {word: name for name, others in SYNONYMS.items() for word in (name, *others)}
BETWEEN = re.compile(r"[\s_+,-]+")  # the emotions of a compound label
GAP = re.compile(r"[\s_-]+")  # between the words of one name

PAIRS = 12  # different spellings named in a problem

# The seven that most datasets have.
SEVEN = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
# What AFEW and FERV39k call their folders.
SEVEN_FOLDERS = dict(
    zip(("Angry", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise"), SEVEN, strict=True)
)


def canonical_name(label: str) -> str:
    """A label's canonical name, whatever its case; several emotions (disgust-anger) in the order of the alphabet. A
    word that is not in the table stays, stripped and in Unicode's composed form."""
    plain = unicodedata.normalize("NFC", label.strip())
    known = CANONICAL.get(plain.lower())
    if known:
        return known
    emotions = {CANONICAL.get(part.lower()) for part in BETWEEN.split(plain)}
    return plain if None in emotions or len(emotions) < 2 else "_".join(sorted(emotions))


def meaning(label: str) -> str:
    """What two labels share that differ only in how they are written: Angry and anger, very happy and very_happy."""
    return GAP.sub("_", canonical_name(label).lower())


def canonical(labels: pl.Expr) -> pl.Expr:
    """`canonical_name` of a column."""
    return _of_each_name(labels, canonical_name)


def meanings(labels: pl.Expr) -> pl.Expr:
    """`meaning` of a column."""
    return _of_each_name(labels, meaning)


def _of_each_name(labels: pl.Expr, function: Callable[[str], str]) -> pl.Expr:
    """A function of each different label, for all rows: there are few labels and many rows."""

    def mapped(values: pl.Series) -> pl.Series:
        names = values.unique().drop_nulls()
        return values.replace_strict(
            names, pl.Series(map(function, names), dtype=pl.String), default=None, return_dtype=pl.String
        )

    return labels.map_batches(mapped, return_dtype=pl.String, is_elementwise=True)


def match_labels(own: Sequence[str], other: Sequence[str]) -> dict[str, str | None]:
    """For each name of another dataset the one of `own` that means the same; None where there is none.

    The same spelling comes first, then the same `meaning`.
    """
    by_meaning: dict[str, str] = {}
    for name in own:
        by_meaning.setdefault(meaning(name), name)
    return {name: name if name in own else by_meaning.get(meaning(name)) for name in dict.fromkeys(other)}


def read_labels(
    rows: pl.DataFrame, classes: Sequence[str], official: Mapping[str, str] | None = None
) -> tuple[pl.DataFrame, list[Problem]]:
    """Give `label` of a table (with `clip_id`) its canonical names, for a dataset whose classes are known.

    official: what its owners write for each class (numbers, say), which is taken in silence; other spellings are
    reported, and a label that is no class at all becomes null and is reported. Raises UserError where all are such.
    """
    official = {name: name for name in classes} if official is None else official
    written = pl.col("label").str.strip_chars().str.normalize("NFC")
    silent = written.replace_strict(official, default=None, return_dtype=pl.String)
    meant = canonical(pl.col("label"))
    named = rows.with_columns(
        _written=written,
        label=pl.coalesce(silent, pl.when(meant.is_in(list(classes))).then(meant)),
        _silent=silent,
    )
    mapped = named.filter(pl.col("_silent").is_null() & pl.col("label").is_not_null())
    pairs = mapped.select(pl.format("{} → {}", "_written", "label")).to_series()
    unknown = named.filter(pl.col("label").is_null() & pl.col("_written").is_not_null())
    if len(unknown) and len(unknown) == len(named) - named["_written"].null_count():
        found = ", ".join(unknown["_written"].unique().sort()[:PAIRS])
        raise UserError(
            f"no clip has a label of the dataset: found {found} (clip {unknown['clip_id'].min()} …), expected "
            f"{', '.join(official)}; mend the lists, or give another --dataset"
        )
    strange = unknown.select(pl.format("{}: {}", "clip_id", "_written")).to_series()
    problems = [
        *_counted("labels", "labels are written in another way than the dataset's own", pairs),
        *problem(
            "unknown label", "clips have a label that is no class of the dataset; it is left out", strange
        ),
    ]
    return named.drop("_written", "_silent"), problems


def merge_spellings(rows: pl.DataFrame) -> tuple[pl.DataFrame, list[Problem]]:
    """Labels as they are written, but where several mean the same (Angry, anger) all become that `meaning`.

    Unicode's two ways to write an é are one, in silence.
    """
    rows = rows.with_columns(pl.col("label").str.normalize("NFC"))
    names = rows.select(pl.col("label").drop_nulls().unique().sort()).to_series()
    spellings: dict[str, list[str]] = {}
    for name in names:
        spellings.setdefault(meaning(name), []).append(name)
    merged = {name: key for key, written in spellings.items() if len(written) > 1 for name in written}
    changed = {name: key for name, key in merged.items() if name != key}
    if not changed:
        return rows, []
    pairs = rows.filter(pl.col("label").is_in(list(changed))).select(
        pl.format("{} → {}", "label", pl.col("label").replace(changed))
    )
    problems = _counted(
        "labels", "labels are another spelling of one that the dataset has too", pairs.to_series()
    )
    return rows.with_columns(pl.col("label").replace(changed)), problems


def _counted(kind: str, text: str, pairs: pl.Series) -> list[Problem]:
    """A problem whose count is of clips and whose text names the different pairs."""
    different = tuple(pairs.unique().sort())
    if not different:
        return []
    shown = ", ".join(different[:PAIRS]) + (", …" if len(different) > PAIRS else "")
    return [Problem(kind=kind, count=len(pairs), text=f"{sentence(len(pairs), text)}: {shown}")]
