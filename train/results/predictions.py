"""The table of a network's predictions: one row a clip; made, written and read."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from dfer.schemas.cache import OK
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.files import write_atomic
from dfer.train.results.run_folder import own_target

GROUPED = ("scene_group", "scene", "subject")  # columns of clips that figures are also given by


def prediction_table(
    clips: pl.DataFrame, probabilities: np.ndarray, labels: Sequence[str], majority: str
) -> pl.DataFrame:
    """One row per clip of the table: clip_id, GROUPED, label, usable, predicted, a probability per class; before
    them `dataset`, where the clips are of several caches.

    probabilities: (usable clips, classes), in the table's order.
    """
    usable = clips["status"] == OK
    names = np.array([*labels, majority], object)
    best = np.full(len(clips), len(labels))
    best[usable.to_numpy()] = probabilities.argmax(1)
    about = (name for name in ("dataset", "clip_id", *GROUPED, "label") if name in clips.columns)
    columns = {name: clips[name] for name in about}
    spread = np.full((len(clips), len(labels)), np.nan)
    spread[usable.to_numpy()] = probabilities
    shares = {f"p_{label}": pl.Series(spread[:, k]).fill_nan(None) for k, label in enumerate(labels)}
    predicted = pl.Series(names[best].tolist(), dtype=pl.String)
    return pl.DataFrame({**columns, "usable": usable, "predicted": predicted, **shares})


def read_predictions(path: Path, labels: Sequence[str]) -> pl.DataFrame:
    """A prediction table that a run has written. labels: the network's.

    Raises UserError where it is missing, damaged or another network's.
    """
    advice = f"remove {path.parent} and train it again, or take the file from a copy"
    try:
        table = pl.read_parquet(path, glob=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = str(error).split("\n")[0]
        raise UserError(f"{path} is missing or damaged ({reason}); {advice}") from None
    absent = [name for name in GROUPED if name not in table.columns]  # of an earlier version
    table = table.with_columns(pl.lit(None, pl.String).alias(name) for name in absent)
    kinds = {"clip_id": pl.String, "label": pl.String, "usable": pl.Boolean, "predicted": pl.String}
    kinds |= dict.fromkeys(GROUPED, pl.String) | {f"p_{label}": pl.Float64 for label in labels}
    wrong = [name for name, kind in kinds.items() if table.schema.get(name) != kind]
    if wrong:
        raise UserError(
            f"{path} is no prediction table of this network (wrong: {', '.join(wrong)}); {advice}"
        )
    return table


def as_parquet(predictions: pl.DataFrame, origin: Mapping[str, Any]) -> bytes:
    """A prediction table as a file that says what made it, as JSON in its metadata `origin`."""
    content = io.BytesIO()
    predictions.write_parquet(content, metadata={"origin": json.dumps(origin, sort_keys=True)})
    return content.getvalue()


def predictions_target(path: Path) -> Path:
    """Where a prediction table is to be written. Raises UserError where that is no place for one."""
    return own_target(path, "--predictions", (".parquet", ".csv"))


def write_predictions(path: Path, predictions: pl.DataFrame, origin: Mapping[str, Any]) -> None:
    """Write a prediction table, as CSV where the name ends so, else as Parquet, which says what made it (`origin`).

    Raises UserError.
    """
    path = predictions_target(path)
    as_csv = path.suffix.lower() == ".csv"
    try:
        write_atomic(path, predictions.write_csv().encode() if as_csv else as_parquet(predictions, origin))
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None
