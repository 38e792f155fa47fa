"""A training from where it stands to its end: a row of figures after each epoch, the last and the best network kept.

A run's folder: settings.toml, run.json (what it was made of), weights.json (what became of given weights),
metrics.csv and .jsonl, last.pt (to go on from), best.pt (to predict with), predictions.parquet and confusion.png of
the last epoch, predictions_best.parquet.

Killed anywhere, a run loses what it did since last.pt was written, does that again, and comes to the same: all
other files follow from it and are written before it, or again after it.
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
from dfer.schemas.support.files import write_atomic
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
class Watch:
    """Who is told: on_step(what the epoch came to so far), on_epoch(its row)."""

    on_step: Callable[[Totals], None] = lambda totals: None
    on_epoch: Callable[[EpochRow], None] = lambda row: None


class Run:
    """A training and its folder. In a world of several processes only the first one writes."""

    def __init__(
        self,
        training: Training,
        out: Path,
        origin: Mapping[str, Any],
        *,
        save_minutes: float = 5.0,
        tensorboard: bool = False,
    ) -> None:
        """save_minutes: how often last.pt is written within an epoch; 0: after every step."""
        self.training, self.out, self.origin = training, out, origin
        self.tensorboard = tensorboard
        self.save_seconds = 60 * save_minutes
        self.rows: list[EpochRow] = []
        self._saved = time.monotonic()

    def restore(self, kept: checkpoint.Checkpoint) -> None:
        """Stand where a checkpoint of this run stood. Raises UserError where it does not fit."""
        self.training.restore(kept)
        self.rows = [*kept.rows]

    def finish(self, watch: Watch, stop: StopRequest) -> list[EpochRow]:
        """Train the epochs that are left; the rows of all. Raises Interrupted where `stop` asks for it."""
        training, first = self.training, self.training.world.first
        board = TensorBoard(self.out, training.epoch) if first and self.tensorboard else None
        while training.epoch < training.config.recipe.epochs:
            for _ in training.steps():
                watch.on_step(training.totals)
                self._save_or_stop(stop)
            started = time.monotonic()
            predictions, figures = training.test(on_batch=lambda: self._save_or_stop(stop))
            self.rows.append(self._row(figures, time.monotonic() - started))
            training.next_epoch()
            if board:  # before it is saved: what an epoch that is done again adds hides this
                board.add(self.rows[-1])
            if first:
                self._keep_epoch(predictions)
            watch.on_epoch(self.rows[-1])
        if board:
            board.close()
        self._judge_again()
        if first:
            self._write_results()
        return self.rows

    def _save_or_stop(self, stop: StopRequest) -> None:
        stopping = distributed.any_of(bool(stop.number), self.training.world)
        due = stopping or time.monotonic() - self._saved >= self.save_seconds
        if due and self.training.world.first:
            self._save()
        if stopping:
            distributed.wait(self.training.world)  # until it is on the disk
            raise Interrupted(stop.number or 15)

    def _save(self) -> None:
        kept = dataclasses.replace(self.training.checkpoint(), rows=tuple(self.rows), origin=self.origin)
        with writing(self.out):
            checkpoint.save(self.out / LAST, kept)
        self._saved = time.monotonic()

    def _keep_epoch(self, predictions: pl.DataFrame) -> None:
        with writing(self.out):
            if best_row(self.rows) is self.rows[-1]:
                # Only to predict with; a third of the size without the optimiser's moments.
                best = dataclasses.replace(self.training.checkpoint(), state={}, origin=self.origin)
                checkpoint.save(self.out / BEST, best)
                self._write_table(BEST_PREDICTIONS, predictions)
            self._write_table(PREDICTIONS, predictions)
            self._save()
            write_rows(self.out, self.rows)

    def _judge_again(self) -> None:
        """Make the predictions that a finished run has lost, by the networks that it has kept."""
        training = self.training
        for name, kept in ((PREDICTIONS, LAST), (BEST_PREDICTIONS, BEST)):
            path = self.out / kept
            lost = training.world.first and not (self.out / name).exists()
            found = distributed.from_first(checkpoint.load(path) if lost else None, training.world)
            if found:
                training.learner.predicting().load_state_dict(found.model)
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
    """Make a run's folder and say in it what the run is made of.

    caches: where the clips are, for a report to find them.
    origin: what to say in run.json of the caches, the split and the versions (`origin_of`).
    loaded: what the network starts from, if not afresh.
    Raises UserError where the folder cannot be written.
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
        if loaded:
            said = {name: value for name, value in vars(loaded).items() if name != "trained_on"}
            write_atomic(out / WEIGHTS, _json(said))
        write_atomic(out / RUN, _json(content))


def _json(content: Any) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()
