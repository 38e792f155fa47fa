"""Canonical names of expressions, and the other names that datasets write for them.

A model is told its classes by name; so one that was trained on "happiness" is judged on another dataset's "Happy".
"""

from collections.abc import Mapping, Sequence

import polars as pl

from data_manifest.readers import Problem, problem
from schemas.errors import UserError

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

PAIRS = 12  # different spellings named in a problem

# The seven that most datasets have.
SEVEN = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
# What AFEW and FERV39k call their folders.
SEVEN_FOLDERS = dict(
    zip(("Angry", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise"), SEVEN, strict=True)
)


def canonical(labels: pl.Expr) -> pl.Expr:
    """Labels by their canonical names, whatever their case; a word that is not in the table stays, stripped."""
    stripped = labels.str.strip_chars()
    known = stripped.str.to_lowercase().replace_strict(CANONICAL, default=None, return_dtype=pl.String)
    return pl.coalesce(known, stripped)


def canonical_name(label: str) -> str:
    """The same for one name."""
    return CANONICAL.get(label.strip().lower(), label.strip())


def match_labels(own: Sequence[str], other: Sequence[str]) -> dict[str, str | None]:
    """For each name of another dataset the one of `own` that means the same; None where there is none.

    The same spelling comes first, then the same canonical name in any case.
    """
    by_meaning: dict[str, str] = {}
    for name in own:
        by_meaning.setdefault(canonical_name(name).lower(), name)
    return {
        name: name if name in own else by_meaning.get(canonical_name(name).lower())
        for name in dict.fromkeys(other)
    }


def read_labels(
    rows: pl.DataFrame, classes: Sequence[str], official: Mapping[str, str] | None = None
) -> tuple[pl.DataFrame, list[Problem]]:
    """Give `label` of a table (with `clip_id`) its canonical names, for a dataset whose classes are known.

    official: what its owners write for each class (numbers, say), which is taken in silence; other spellings are
    reported, and a label that is no class at all becomes null and is reported. Raises UserError where all are such.
    """
    official = {name: name for name in classes} if official is None else official
    written = pl.col("label").str.strip_chars()
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
    """Labels as they are written, but where several mean the same (Angry, anger) all become the canonical name."""
    names = rows.select(pl.col("label").drop_nulls().unique().sort()).to_series()
    meanings: dict[str, list[str]] = {}
    for name in names:
        meanings.setdefault(canonical_name(name).lower(), []).append(name)
    merged = {name: key for key, spellings in meanings.items() if len(spellings) > 1 for name in spellings}
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
    return [Problem(kind=kind, count=len(pairs), text=f"{len(pairs)} {text}: {shown}")]
