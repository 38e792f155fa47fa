"""One training: epochs over a cache, a row of figures after each, the last and the best network kept.

A run's folder: settings.toml, run.json (what it was made of), metrics.csv, last.pt, best.pt, confusion.png
and predictions.csv of the last epoch.
"""

import csv
import dataclasses
import io
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from schemas.errors import UserError
from schemas.files import atomic_file, write_atomic
from train import checkpoint, evaluate, metrics, plots
from train.config import TrainConfig
from train.loader import Loader
from train.model.network import build, loss
from train.sampling import epoch_order, training_view
from train.shards import Cache, usable
from train.splits import Split

LAST, BEST, METRICS, SETTINGS, RUN = "last.pt", "best.pt", "metrics.csv", "settings.toml", "run.json"
RESULTS = ("predictions.csv", "confusion.png")  # of the last epoch, written last


@dataclass(frozen=True, kw_only=True)
class EpochRow:
    """A row of metrics.csv. Training figures are of augmented clips while the weights move; WAR, UAR in 0–1."""

    epoch: int
    learning_rate: float
    train_loss: float
    train_war: float
    train_uar: float
    test_war: float
    test_uar: float
    test_war_usable: float
    test_uar_usable: float
    seconds: float


class Training:
    """A network, its optimiser and its data. `run` is what most callers want."""

    def __init__(
        self, config: TrainConfig, cache: Cache, split: Split, device: torch.device, loader_workers: int
    ) -> None:
        """Raises UserError where no training clip is usable."""
        self.config, self.device, self.split = config, device, split
        self.labels = cache.info.labels
        self.clips = usable(split.train)
        if self.clips.is_empty():
            raise UserError(f"{cache.folder}: none of the {len(split.train)} training clips is usable")
        self.majority = (
            self.clips["label"].value_counts().sort("count", "label", descending=[True, False])["label"][0]
        )
        recipe = config.recipe
        self.network = build(config.network, len(self.labels), config.data.num_frames, recipe.seed).to(device)
        self.optimiser = torch.optim.Adam(
            self.network.parameters(), lr=recipe.learning_rate, betas=recipe.betas
        )
        self.scheduler = torch.optim.lr_scheduler.MultiStepLR(
            self.optimiser, list(recipe.milestones), recipe.decay
        )
        self.loader = self._loader(cache, self.clips, loader_workers)
        self.test_clips = usable(split.test)
        self.test_loader = self.loader if split.seen else self._loader(cache, self.test_clips, loader_workers)

    def _loader(self, cache: Cache, clips: pl.DataFrame, workers: int) -> Loader:
        dataset = evaluate.clip_dataset(cache, clips, self.labels)
        return Loader(dataset, self.config.recipe.batch_size, workers, self.device)

    def train_epoch(self, epoch: int, on_step: Callable[[int, float], None]) -> tuple[float, np.ndarray]:
        """One pass over the training clips: mean loss per clip, and the confusion matrix of its predictions.

        Raises UserError, naming the clips, where the loss is not a number.
        """
        recipe, data = self.config.recipe, self.config.data
        self.network.train()
        total, matrix = 0.0, np.zeros((len(self.labels), len(self.labels)), np.int64)
        order = epoch_order(len(self.clips), recipe.seed, epoch)
        view = lambda clip: training_view(data.num_frames, data.flip, recipe.seed, epoch, clip)  # noqa: E731
        for batch in self.loader.epoch(order, view):
            scores = self.network(*evaluate.network_input(batch.to(self.device), data))
            labels = batch.labels.to(self.device)
            step_loss = loss(scores, labels, recipe.frame_weight)
            if not torch.isfinite(step_loss):
                ids = ", ".join(self.clips["clip_id"][batch.clips.tolist()])
                raise UserError(f"the loss is {step_loss.item()} in epoch {epoch} at the clips {ids}")
            self.optimiser.zero_grad()
            step_loss.backward()
            self.optimiser.step()
            total += step_loss.item() * len(labels)
            predicted = scores.clip.argmax(1).cpu().numpy()
            matrix += metrics.confusion(batch.labels.numpy(), predicted, len(self.labels))
            on_step(len(labels), step_loss.item())
        self.scheduler.step()
        return total / len(self.clips), matrix

    def test(self) -> tuple[pl.DataFrame, evaluate.Figures]:
        """The predictions for the split's test part as the network is now, and their figures."""
        if len(self.test_clips):
            probabilities = evaluate.predict(
                self.network, self.test_loader, len(self.test_clips), self.config.data, self.device
            )
        else:
            probabilities = np.zeros((0, len(self.labels)), np.float32)
        table = evaluate.prediction_table(self.split.test, probabilities, self.labels, self.majority)
        return table, evaluate.judge(table, self.labels)

    def checkpoint(self, epoch: int) -> checkpoint.Checkpoint:
        """All there is to keep."""
        return checkpoint.Checkpoint(
            config=self.config,
            labels=self.labels,
            majority=self.majority,
            epoch=epoch,
            model=self.network.state_dict(),
            state={"optimiser": self.optimiser.state_dict(), "scheduler": self.scheduler.state_dict()},
        )


def run(
    training: Training,
    out: Path,
    *,
    on_step: Callable[[int, float], None] = lambda clips, loss: None,
    on_epoch: Callable[[EpochRow], None] = lambda row: None,
) -> list[EpochRow]:
    """Train all epochs into the folder `out`, which `start_run` has made; the rows of metrics.csv."""
    rows: list[EpochRow] = []
    for epoch in range(training.config.recipe.epochs):
        started = time.perf_counter()
        learning_rate = training.scheduler.get_last_lr()[0]
        train_loss, matrix = training.train_epoch(epoch, on_step)
        predictions, figures = training.test()
        rows.append(
            EpochRow(
                epoch=epoch,
                learning_rate=learning_rate,
                train_loss=train_loss,
                train_war=metrics.war(matrix),
                train_uar=metrics.uar(matrix),
                test_war=figures.war,
                test_uar=figures.uar,
                test_war_usable=figures.war_usable,
                test_uar_usable=figures.uar_usable,
                seconds=time.perf_counter() - started,
            )
        )
        if best_row(rows) is rows[-1]:
            # Only to predict with; a third of the size without the optimiser's moments.
            checkpoint.save(out / BEST, dataclasses.replace(training.checkpoint(epoch), state={}))
        checkpoint.save(out / LAST, training.checkpoint(epoch))
        _write_rows(out / METRICS, rows)
        on_epoch(rows[-1])
    _write_results(out, training, predictions, figures)
    return rows


def start_run(out: Path, training: Training, origin: Mapping[str, Any]) -> None:
    """Make a run's folder and say in it what the run is made of.

    origin: what to say in run.json of the cache and the split.
    Raises UserError where the folder cannot be written.
    """
    content = {
        "labels": list(training.labels),
        "training_clips": len(training.clips),
        "test_clips": len(training.split.test),
        "tested_on": training.split.description,
        "versions": {
            name: version(name) for name in ("dfer-keypoints", "numpy", "polars", "pyarrow", "torch")
        },
        **origin,
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_atomic(out / SETTINGS, training.config.to_toml().encode())
        write_atomic(out / RUN, (json.dumps(content, indent=2) + "\n").encode())
    except OSError as error:
        raise UserError(f"cannot write the run {out}: {error.strerror}; give another --out") from None


def best_row(rows: list[EpochRow]) -> EpochRow:
    """The epoch with the highest test WAR, then UAR; the first of equals."""
    return max(rows, key=lambda row: (row.test_war, row.test_uar))


def _write_rows(path: Path, rows: list[EpochRow]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in dataclasses.fields(EpochRow)], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        values = dataclasses.asdict(row)
        writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in values.items()})
    write_atomic(path, text.getvalue().encode())


def _write_results(
    out: Path, training: Training, predictions: pl.DataFrame, figures: evaluate.Figures
) -> None:
    with atomic_file(out / RESULTS[0]) as file:
        predictions.write_csv(file)
    title = f"WAR {100 * figures.war:.1f} %, UAR {100 * figures.uar:.1f} %, last epoch\n{figures.clips} clips"
    if training.split.seen:
        title += " that the network was trained on"
    plots.confusion_png(out / RESULTS[1], figures.confusion, training.labels, title)
