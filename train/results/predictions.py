"""The table of a network's predictions, one row per clip: make it, write it, read it."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from dfer.schemas.cache import OK
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.files import write_atomic, writing

GROUPED = ("scene_group", "scene", "subject")  # columns of the clips table that results are grouped by


def prediction_table(
    clips: pl.DataFrame, probabilities: np.ndarray, labels: Sequence[str], majority: str
) -> pl.DataFrame:
    """Make the prediction table of some clips.

    clips: rows of a clips table, usable or not
    probabilities: (usable clips, classes) in the order of the rows
    labels: the network's classes
    majority: the class predicted for clips without a usable face

    Returns one row per clip: dataset (several caches only), clip_id, GROUPED, label, usable, predicted, and a column
    p_<label> per class, null for unusable clips.
    """
    usable = clips["status"] == OK
    names = np.array([*labels, majority], object)
    best = np.full(len(clips), len(labels))
    best[usable.to_numpy()] = probabilities.argmax(1)
    copied = (name for name in ("dataset", "clip_id", *GROUPED, "label") if name in clips.columns)
    columns = {name: clips[name] for name in copied}
    all_rows = np.full((len(clips), len(labels)), np.nan)
    all_rows[usable.to_numpy()] = probabilities
    shares = {f"p_{label}": pl.Series(all_rows[:, k]).fill_nan(None) for k, label in enumerate(labels)}
    predicted = pl.Series(names[best].tolist(), dtype=pl.String)
    return pl.DataFrame({**columns, "usable": usable, "predicted": predicted, **shares})


def read_predictions(path: Path, labels: Sequence[str], *, advice: str = "") -> pl.DataFrame:
    """Read a prediction table of a run with these classes.

    advice: what to do about a damaged one; by default to restore it or to train again

    Raises UserError if it is missing, damaged, or of another network.
    """
    advice = advice or f"restore it from a copy, or remove {path.parent} and train again"
    try:
        table = pl.read_parquet(path, glob=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = str(error).split("\n")[0]
        raise UserError(f"{path} is missing or damaged ({reason}); {advice}") from None
    kinds = {"clip_id": pl.String, "label": pl.String, "usable": pl.Boolean, "predicted": pl.String}
    kinds |= dict.fromkeys(GROUPED, pl.String) | {f"p_{label}": pl.Float64 for label in labels}
    wrong = [name for name, kind in kinds.items() if table.schema.get(name) != kind]
    if wrong:
        raise UserError(f"{path}: missing or wrong columns: {', '.join(wrong)}; {advice}")
    return table


def as_parquet(predictions: pl.DataFrame, origin: Mapping[str, Any]) -> bytes:
    """A prediction table as a Parquet file, with `origin` (what made it) as JSON in its metadata."""
    content = io.BytesIO()
    predictions.write_parquet(content, metadata={"origin": json.dumps(origin, sort_keys=True)})
    return content.getvalue()


def write_predictions(
    path: Path, predictions: pl.DataFrame, origin: Mapping[str, Any], option: str = "--predictions"
) -> None:
    """Write a prediction table as CSV if the name ends in .csv, else as Parquet, which records its `origin`.

    option: the flag that names the file, for the message

    Raises UserError if it cannot be written.
    """
    as_csv = path.suffix.lower() == ".csv"
    with writing(f"the predictions {path}", f"another {option}"):
        write_atomic(path, predictions.write_csv().encode() if as_csv else as_parquet(predictions, origin))
