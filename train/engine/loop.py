"""Train to the end, write a row of figures after each epoch, and save the last and the best network.

Files of a run's folder:

settings.toml             all settings
run.json                  what the run was made of: caches, split, versions, hashes
weights.json              what was taken from given weights (--init-from, --backbone)
metrics.csv, .jsonl       a row of figures for each epoch
last.pt                   checkpoint to resume from
best.pt                   checkpoint of the best epoch, only to predict with
predictions.parquet       of the last epoch; confusion.png shows them
predictions_best.parquet  of the best epoch

Killed at any moment, a run loses only the steps since last.pt was written. `--resume` takes them again and ends with
the same weights and figures (`training` says when they are equal bit for bit). All other files follow from last.pt:
they are written before it, or again after it.
"""

import dataclasses
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from dfer.schemas.support.errors import Interrupted
from dfer.schemas.support.files import remove_durably, write_atomic
from dfer.schemas.support.processes import StopRequest
from dfer.schemas.support.text import counted
from dfer.train.engine import checkpoint, distributed
from dfer.train.engine.optim import learning_rate
from dfer.train.engine.training import Totals, Training
from dfer.train.engine.weights import Loaded
from dfer.train.results import metrics, plots
from dfer.train.results.figures import Figures, compute_figures
from dfer.train.results.logs import EpochRow, TensorBoard, best_row, write_rows
from dfer.train.results.predictions import as_parquet, read_predictions
from dfer.train.results.run_folder import (
    BEST,
    BEST_PREDICTIONS,
    CONFUSION,
    LAST,
    PREDICTIONS,
    RUN,
    SETTINGS,
    WEIGHTS,
    writing,
)


@dataclass(frozen=True, kw_only=True)
class Callbacks:
    """on_step: called with the epoch's totals so far; on_epoch: called with its row."""

    on_step: Callable[[Totals], None] = lambda totals: None
    on_epoch: Callable[[EpochRow], None] = lambda row: None


class Run:
    """A training and its folder. Of several processes only the first one writes."""

    def __init__(
        self,
        training: Training,
        out: Path,
        origin: Mapping[str, Any],
        *,
        save_minutes: float = 5.0,
        tensorboard: bool = False,
    ) -> None:
        """Pair a training with its folder.

        origin: what the run was made of, for the files that it writes (`origin_of`)
        save_minutes: how often to write last.pt within an epoch; 0: after every step
        tensorboard: whether to write event files too
        """
        self.training, self.out, self.origin = training, out, origin
        self.tensorboard = tensorboard
        self.save_seconds = 60 * save_minutes
        self.rows: list[EpochRow] = []
        self._saved = time.monotonic()

    def restore(self, saved: checkpoint.Checkpoint) -> None:
        """Continue from a checkpoint of this run. Raises UserError if it does not fit."""
        self.training.restore(saved)
        self.rows = [*saved.rows]

    def finish(self, callbacks: Callbacks, stop: StopRequest) -> list[EpochRow]:
        """Train the remaining epochs. Returns the rows of all. Raises Interrupted when `stop` is set."""
        training, first = self.training, self.training.world.first
        board = TensorBoard(self.out, training.epoch) if first and self.tensorboard else None
        while training.epoch < training.config.recipe.epochs:
            for _ in training.steps():
                callbacks.on_step(training.totals)
                self._save_or_stop(stop)
            started = time.monotonic()
            predictions, figures = training.test(on_batch=lambda: self._save_or_stop(stop))
            self.rows.append(self._row(figures, time.monotonic() - started))
            training.next_epoch()
            if board:  # before saving: if the epoch is repeated, its new events replace these
                board.add(self.rows[-1])
            if first:
                self._keep_epoch(predictions)
            callbacks.on_epoch(self.rows[-1])
        if board:
            board.close()
        self._restore_predictions()
        if first:
            self._write_results()
        return self.rows

    def _save_or_stop(self, stop: StopRequest) -> None:
        stopping = distributed.any_of(bool(stop.number), self.training.world)
        due = stopping or time.monotonic() - self._saved >= self.save_seconds
        if due and self.training.world.first:
            self._save()
        if stopping:
            distributed.wait(self.training.world)  # until the checkpoint is on the disk
            raise Interrupted(stop.number or 15)

    def _save(self) -> None:
        last = dataclasses.replace(self.training.checkpoint(), rows=tuple(self.rows), origin=self.origin)
        with writing(self.out):
            checkpoint.save(self.out / LAST, last)
        self._saved = time.monotonic()

    def _keep_epoch(self, predictions: pl.DataFrame) -> None:
        with writing(self.out):
            if best_row(self.rows) is self.rows[-1]:
                # Without the optimiser's moments it is a third of the size.
                best = dataclasses.replace(self.training.checkpoint(), state={}, origin=self.origin)
                checkpoint.save(self.out / BEST, best)
                self._write_table(BEST_PREDICTIONS, predictions)
            self._write_table(PREDICTIONS, predictions)
            self._save()
            write_rows(self.out, self.rows)

    def _restore_predictions(self) -> None:
        """Predict again where a finished run's prediction table is missing."""
        training = self.training
        for name, source in ((PREDICTIONS, LAST), (BEST_PREDICTIONS, BEST)):
            missing = training.world.first and not (self.out / name).exists()
            saved = checkpoint.load(self.out / source) if missing else None
            saved = distributed.from_first(saved, training.world)
            if saved:
                training.learner.predicting().load_state_dict(saved.model)
                predictions, _ = training.test()
                if training.world.first:
                    with writing(self.out):
                        self._write_table(name, predictions)

    def _row(self, figures: Figures, test_seconds: float) -> EpochRow:
        training, totals = self.training, self.training.totals
        return EpochRow(
            epoch=training.epoch,
            learning_rate=learning_rate(training.config.recipe, training.epoch),
            train_loss=totals.mean_loss,
            train_war=metrics.war(totals.matrix),
            train_uar=metrics.uar(totals.matrix),
            test_loss=figures.loss,
            test_war=figures.war,
            test_uar=figures.uar,
            test_war_usable=figures.war_usable,
            test_uar_usable=figures.uar_usable,
            seconds=totals.seconds + test_seconds,
            clips_per_second=totals.clips_per_second,
            waiting=totals.waiting_share,
        )

    def _write_results(self) -> None:
        labels = self.training.labels
        predictions = read_predictions(self.out / PREDICTIONS, labels)
        figures = compute_figures(predictions, labels)
        seen = " that the network was trained on" if self.training.split.seen else ""
        title = f"{figures.summary}, last epoch\n{counted(figures.clips, 'clip')}{seen}"
        with writing(self.out):
            write_rows(self.out, self.rows)
            write_atomic(self.out / CONFUSION, plots.confusion_png(figures.confusion, labels, title))

    def _write_table(self, name: str, predictions: pl.DataFrame) -> None:
        write_atomic(self.out / name, as_parquet(predictions, self.origin))


def start_folder(
    out: Path, training: Training, caches: Sequence[Path], origin: Mapping[str, Any], loaded: Loaded | None
) -> None:
    """Create a run's folder with settings.toml, run.json and, if it starts from given weights, weights.json.

    caches: folders of the caches, so that a report finds them
    origin: caches, split and versions (`origin_of`)
    loaded: what was taken from given weights, if any

    Raises UserError if the folder cannot be written.
    """
    content = {
        "caches": [str(folder.resolve()) for folder in caches],
        "labels": list(training.labels),
        "training_clips": len(training.clips),
        "test_clips": len(training.split.test),
        "tested_on": training.split.description,
        "tested_on_training_clips": training.split.seen,
        "protocol": training.split.protocol,
        "notes": list(training.split.notes),
        **origin,
    }
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        write_atomic(out / SETTINGS, training.config.to_toml().encode())
        remove_durably(out / WEIGHTS)  # of a run that was stopped before its first step
        if loaded:
            record = {name: value for name, value in vars(loaded).items() if name != "trained_on"}
            write_atomic(out / WEIGHTS, _json(record))
        write_atomic(out / RUN, _json(content))


def _json(content: Any) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()
