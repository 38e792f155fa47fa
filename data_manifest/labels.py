"""Map labels of different spellings to one class: canonical names of expressions, and their synonyms.

A network stores its classes by name, so one trained on "happiness" can be judged on another dataset's "Happy".
"""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence

import polars as pl

from dfer.data_manifest.problems import Problem, report
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
BETWEEN_EMOTIONS = re.compile(r"[\s_+,-]+")  # of a compound label
BETWEEN_WORDS = re.compile(r"[\s_-]+")  # of one name

SHOWN = 12  # different spellings that a problem or error lists

# The classes of DFEW, FERV39k and AFEW; of MAFW; and the folders of AFEW and FERV39k.
SEVEN = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
ELEVEN = (*SEVEN, "contempt", "anxiety", "helplessness", "disappointment")
SEVEN_FOLDERS = dict(
    zip(("Angry", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise"), SEVEN, strict=True)
)


def canonical_name(label: str) -> str:
    """A label's canonical name, case ignored; several emotions ("disgust-anger") are joined in alphabetical order.

    An unknown word stays as it is, stripped and in Unicode's composed form (NFC).
    """
    plain = unicodedata.normalize("NFC", label.strip())
    known = CANONICAL.get(plain.lower())
    if known:
        return known
    emotions = {CANONICAL.get(part.lower()) for part in BETWEEN_EMOTIONS.split(plain)}
    return plain if None in emotions or len(emotions) < 2 else "_".join(sorted(emotions))


def is_expression(label: str) -> bool:
    """Whether a label is a known expression, or several."""
    return all(name in SYNONYMS for name in canonical_name(label).split("_"))


def meaning(label: str) -> str:
    """A key that spellings of one label share: Angry and anger, very happy and very_happy."""
    return BETWEEN_WORDS.sub("_", canonical_name(label).lower())


def canonical_names(labels: pl.Expr) -> pl.Expr:
    """`canonical_name` of a column."""
    return _of_each_label(labels, canonical_name)


def meanings(labels: pl.Expr) -> pl.Expr:
    """`meaning` of a column."""
    return _of_each_label(labels, meaning)


def _of_each_label(labels: pl.Expr, function: Callable[[str], str]) -> pl.Expr:
    """Call a function once per distinct label: there are few labels and many rows."""

    def mapped(values: pl.Series) -> pl.Series:
        names = values.unique().drop_nulls()
        return values.replace_strict(
            names, pl.Series(map(function, names), dtype=pl.String), default=None, return_dtype=pl.String
        )

    return labels.map_batches(mapped, return_dtype=pl.String, is_elementwise=True)


def match_labels(own: Sequence[str], other: Sequence[str]) -> dict[str, str | None]:
    """Map each of another dataset's labels to the one of `own` with the same spelling, else the same `meaning`.

    None where `own` has neither.
    """
    by_meaning: dict[str, str] = {}
    for name in own:
        by_meaning.setdefault(meaning(name), name)
    return {name: name if name in own else by_meaning.get(meaning(name)) for name in dict.fromkeys(other)}


def read_labels(
    rows: pl.DataFrame, classes: Sequence[str], written: Mapping[str, str] | None = None
) -> tuple[pl.DataFrame, list[Problem]]:
    """Replace a known dataset's labels by their canonical names.

    rows: with `clip_id` and `label`
    classes: canonical names of the dataset
    written: what its owners write for each class, such as a number [default: the names themselves]

    Returns the rows, and as problems other spellings, and labels that are not a class (they become null).
    Raises UserError if no clip has a label of the dataset.
    """
    written = {name: name for name in classes} if written is None else written
    found = pl.col("label").str.strip_chars().str.normalize("NFC")
    official = found.replace_strict(written, default=None, return_dtype=pl.String)
    guessed = canonical_names(pl.col("label"))
    named = rows.with_columns(
        _found=found,
        label=pl.coalesce(official, pl.when(guessed.is_in(list(classes))).then(guessed)),
        _official=official,
    )
    renamed = named.filter(pl.col("_official").is_null() & pl.col("label").is_not_null())
    unknown = named.filter(pl.col("label").is_null() & pl.col("_found").is_not_null())
    if len(unknown) and len(unknown) == len(named) - named["_found"].null_count():
        labels = ", ".join(unknown["_found"].unique().sort()[:SHOWN])
        raise UserError(
            f"no clip has a label of this dataset: found {labels} (clip {unknown['clip_id'].min()} …), expected "
            f"{', '.join(written)}; fix the lists, or choose another --dataset"
        )
    strange = unknown.select(pl.format("{}: {}", "clip_id", "_found")).to_series()
    problems = [
        *_renamed(renamed.select("_found", "label"), "labels in another spelling than the dataset's own"),
        *report("unknown label", "labels that are not a class of this dataset, ignored", strange),
    ]
    return named.drop("_found", "_official"), problems


def merge_spellings(rows: pl.DataFrame) -> tuple[pl.DataFrame, list[Problem]]:
    """Keep labels as written, except that spellings of one label (Angry, anger) all become its `meaning`.

    Labels that differ only in how Unicode composes an accent are merged without a report.
    """
    rows = rows.with_columns(pl.col("label").str.normalize("NFC"))
    names = rows.select(pl.col("label").drop_nulls().unique().sort()).to_series()
    spellings: dict[str, list[str]] = {}
    for name in names:
        spellings.setdefault(meaning(name), []).append(name)
    merged = {name: key for key, several in spellings.items() if len(several) > 1 for name in several}
    changed = {name: key for name, key in merged.items() if name != key}
    if not changed:
        return rows, []
    label = pl.col("label")
    pairs = rows.filter(label.is_in(list(changed))).select(_found=label, label=label.replace(changed))
    return rows.with_columns(label.replace(changed)), _renamed(pairs, "labels in several spellings, merged")


def _renamed(pairs: pl.DataFrame, text: str) -> list[Problem]:
    """A problem whose count is of clips and whose text lists the distinct pairs (_found, label)."""
    if pairs.is_empty():
        return []
    distinct = pairs.select(pl.format("{} → {}", "_found", "label").unique().sort()).to_series()
    shown = ", ".join(distinct[:SHOWN]) + (", …" if len(distinct) > SHOWN else "")
    return [Problem(kind="labels", text=f"{text} ({shown})", count=len(pairs))]
