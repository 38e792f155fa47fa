"""The answer for a clip, and tables of answers."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from dfer.schemas.cache import OK, UNDECODABLE
from dfer.train.use.over_time.face_track import FaceTrack


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The answer for a clip.

    clip: its id
    person: which of the people in it, from 1; a clip without an answer counts as one
    path: where its file is, absolute; None for a clip of a cache that was given
    cache: that cache; None for what was extracted
    status: `ok`, or why there is no answer: `no_face`, `undecodable`, `quarantined`
    reason: the same in words; None if there is an answer
    label: the class that it is known to have; None if unknown
    predicted: the most probable class; None without an answer
    probabilities: of each class, in the model's order, sum 1; None without an answer
    warning: what was wrong with the file, or with the face, although there is an answer; None if nothing
    start_s, end_s: of the window that was asked for, or of the first and last frame that are kept of the clip,
        seconds from the video's first frame; None where unknown
    times: when the frames that are kept of it are shown, seconds from its first frame, to a microsecond; None where
        unknown
    face: the face that was followed through it; None unless asked for
    """

    clip: str
    person: int = 1
    path: Path | None
    cache: Path | None = None
    status: str
    reason: str | None = None
    label: str | None = None
    predicted: str | None = None
    probabilities: Mapping[str, float] | None = None
    warning: str | None = None
    start_s: float | None = None
    end_s: float | None = None
    times: tuple[float | None, ...] = ()
    face: FaceTrack | None = field(default=None, repr=False)

    @property
    def source(self) -> tuple[Path | None, Path | None, str]:
        """What tells clips of one name apart."""
        return self.cache, self.path, self.clip


def all_answered(predictions: Sequence[Prediction]) -> bool:
    """Whether there is an answer for every clip, or for a window of it."""
    answered = {each.source for each in predictions if each.status == OK}
    return all(each.source in answered for each in predictions)


def as_table(predictions: Sequence[Prediction], labels: Sequence[str]) -> pl.DataFrame:
    """The predictions as a table: a column for each field, start_s and end_s, and p_<label> of each class."""
    texts = ("path", "cache", "status", "reason", "warning", "label", "predicted")
    columns = {
        "clip": pl.Series([each.clip for each in predictions], dtype=pl.String),
        "person": pl.Series([each.person for each in predictions], dtype=pl.Int32),
    }
    for name in texts:
        columns[name] = pl.Series([_text(getattr(each, name)) for each in predictions], dtype=pl.String)
    for name in ("start_s", "end_s"):
        columns[name] = pl.Series([getattr(each, name) for each in predictions], dtype=pl.Float64)
    for label in labels:
        shares = [each.probabilities[label] if each.probabilities else None for each in predictions]
        columns[f"p_{label}"] = pl.Series(shares, dtype=pl.Float64)
    return pl.DataFrame(columns)


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def no_clip(path: Path, reason: str) -> Prediction:
    """The answer for an input without any clip. Its name may not be UTF-8, which no table can store."""
    name = os.fsencode(path).decode("utf-8", "backslashreplace")
    return Prediction(clip=name, path=Path(name), status=UNDECODABLE, reason=reason)
