"""The metrics of every epoch, written as CSV, JSON lines and, on request, TensorBoard events."""

import csv
import dataclasses
import importlib.util
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dfer.schemas.support.errors import UserError
from dfer.schemas.support.files import write_atomic
from dfer.train.results.run_folder import METRIC_LINES, METRICS

TENSORBOARD = "tensorboard"


@dataclass(frozen=True, kw_only=True)
class EpochRow:
    """Metrics of one epoch: training ones of training clips while the weights change, test ones after the epoch.

    epoch: from 0
    WAR, UAR: 0–1
    waiting: share of the training time spent waiting for data, 0–1
    """

    epoch: int
    learning_rate: float
    train_loss: float
    train_war: float
    train_uar: float
    test_loss: float
    test_war: float
    test_uar: float
    test_war_usable: float
    test_uar_usable: float
    seconds: float
    clips_per_second: float
    waiting: float


def row_from(content: Mapping[str, Any]) -> EpochRow:
    """Parse a stored row. Raises TypeError, KeyError or ValueError if it is not one."""
    kinds = {field.name: field.type for field in dataclasses.fields(EpochRow)}
    if set(content) != set(kinds):
        raise ValueError("unexpected columns")
    return EpochRow(**{name: kind(content[name]) for name, kind in kinds.items()})


def read_rows(out: Path) -> list[EpochRow]:
    """Read a run's metrics.csv. Raises UserError if it is missing or damaged."""
    path = out / METRICS
    try:
        with path.open(newline="") as file:
            rows = [row_from(row) for row in csv.DictReader(file)]
        if not rows:
            raise ValueError("no rows")
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise UserError(
            f"{path} is missing or damaged ({error}); restore it from a copy, or remove {out} and train again"
        ) from None
    return rows


def best_row(rows: Sequence[EpochRow]) -> EpochRow:
    """The epoch with the highest test WAR, then UAR; the first if several tie."""
    return max(rows, key=lambda row: (row.test_war, row.test_uar))


def write_rows(out: Path, rows: Sequence[EpochRow]) -> None:
    """Write metrics.csv and metrics.jsonl; NaN is null in the latter."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in dataclasses.fields(EpochRow)], lineterminator="\n")
    writer.writeheader()
    lines = []
    for row in rows:
        values = dataclasses.asdict(row)
        writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in values.items()})
        known = {k: v if math.isfinite(v) else None for k, v in values.items()}
        lines.append(json.dumps(known) + "\n")
    write_atomic(out / METRICS, text.getvalue().encode())
    write_atomic(out / METRIC_LINES, "".join(lines).encode())


def require_tensorboard() -> None:
    """Raise UserError if tensorboard is not installed. Does not import it."""
    if importlib.util.find_spec("tensorboard") is None:
        raise UserError("--tensorboard needs an extra: pip install '.[tensorboard]'")


class TensorBoard:
    """TensorBoard event files in the run's folder."""

    def __init__(self, out: Path, first_epoch: int) -> None:
        """Hide what an interrupted run wrote from first_epoch on."""
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(out / TENSORBOARD), purge_step=first_epoch)

    def add(self, row: EpochRow) -> None:
        """Add the metrics of an epoch."""
        for name, value in dataclasses.asdict(row).items():
            if name != "epoch" and math.isfinite(value):
                self._writer.add_scalar(name.replace("_", "/", 1), value, row.epoch)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()
