"""A network's predictions for the clips of a cache, and what they are worth."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import torch
from torch import nn

from dfer.schemas.support.errors import UserError
from dfer.train.config import DataConfig, TrainConfig
from dfer.train.data.augment import flip_expressions, prepare
from dfer.train.data.caches import Pool
from dfer.train.data.coverage import only_covered
from dfer.train.data.loader import Batch, ClipDataset, Loader, Request, Sight
from dfer.train.data.sampling import Augmentation
from dfer.train.engine.checkpoint import Checkpoint
from dfer.train.engine.precision import autocast
from dfer.train.models.keypoint.network import Scores
from dfer.train.results import metrics
from dfer.train.results.bootstrap import Intervals, intervals
from dfer.train.results.predictions import GROUPED


@dataclass(frozen=True, kw_only=True)
class Figures:
    """WAR and UAR (0–1) over all clips, where one without a usable face counts as predicted as the training
    set's most frequent class, and over the usable clips alone. loss: mean cross-entropy of the usable clips.
    confusion: all clips, rows the truth."""

    clips: int
    usable: int
    war: float
    uar: float
    war_usable: float
    uar_usable: float
    loss: float
    confusion: np.ndarray

    @property
    def words(self) -> str:
        """WAR and UAR over all clips, for a picture's title."""
        return f"WAR {100 * self.war:.1f} %, UAR {100 * self.uar:.1f} %"


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A judged network: its classes, after how many epochs, on which clips, and how it did.

    groups: for each of GROUPED, and `dataset`, where the clips name more than one, their figures (`by_group`).
    renamed, not_covered: as in `coverage.Coverage`; incomparable: why the figures cannot stand beside published ones;
    notes: how the caches fit together; judged_on: how the clips were chosen; origin: what made network and caches;
    trained_on: ids of those clips whose files the network was trained on."""

    labels: tuple[str, ...]
    epochs: int
    dataset: str
    clips: str
    predictions: pl.DataFrame
    figures: Figures
    intervals: Intervals
    groups: Mapping[str, pl.DataFrame]
    renamed: Mapping[str, str] = field(default_factory=dict)
    not_covered: Mapping[str, int] = field(default_factory=dict)
    incomparable: str | None = None
    notes: tuple[str, ...] = ()
    judged_on: str = ""
    origin: Mapping[str, Any] = field(default_factory=dict)
    trained_on: tuple[str, ...] = ()


def label_ids(clips: pl.DataFrame, labels: Sequence[str]) -> list[int]:
    """The class of every clip as the network numbers it.

    Raises UserError for labels that the network does not know.
    """
    numbers = {label: number for number, label in enumerate(labels)}
    unknown = sorted(set(clips["label"].drop_nulls()) - set(labels))
    if unknown:
        raise UserError(
            f"the network does not know the labels {', '.join(unknown)}; it has {', '.join(labels)}"
        )
    return [numbers.get(label, -1) for label in clips["label"]]


def sight_of(config: TrainConfig, augmentation: Augmentation | None = None) -> Sight:
    """What a network of these settings sees of a clip."""
    return Sight(
        frames=config.data.num_frames,
        augmentation=augmentation,
        expressions=config.network.expression_scores == "on",
    )


def clip_dataset(pool: Pool, clips: pl.DataFrame, labels: Sequence[str], sight: Sight) -> ClipDataset:
    """Clips of the pool's table as a dataset; all of them must be usable.

    Raises UserError for labels that the network does not know, and where a cache lacks the scores it needs.
    """
    if sight.expressions and pool.without_expressions:
        raise UserError(
            f"{pool.without_expressions[0]} has no expression scores, which the network needs: "
            "extract with --blendshapes, or train with --expression-scores off"
        )
    return ClipDataset(pool.folders, clips, label_ids(clips, labels), pool.crop_size, sight)


def batch_size(config: TrainConfig, processes: int = 1) -> int:
    """How many clips a process judges at once: as many as it computes at once in training, which fit its memory."""
    return -(-config.recipe.batch_size // (processes * config.execution.accumulate))


@torch.inference_mode()
def predict(
    network: nn.Module,
    loader: Loader,
    plan: Iterable[Sequence[Request]],
    config: TrainConfig,
    device: torch.device,
    on_batch: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """Class probabilities (clips, classes) float32 for the clips of a plan (`in_batches`), in its order."""
    network.eval()
    parts = [np.zeros((0, network.classes), np.float32)]
    for batch in loader.batches(plan):
        scores = scores_of(network, batch.to(device), config, device)
        parts.append(scores.clip.float().softmax(1).cpu().numpy())
        on_batch()
    return np.concatenate(parts)


def scores_of(
    network: nn.Module, batch: Batch, config: TrainConfig, device: torch.device, mix: float = 1.0
) -> Scores:
    """What a network says of a batch on its device. mix: as the network takes it."""
    with autocast(config.execution.precision, device):
        return network(*network_input(batch, config.data), mix=mix)


class NetworkInput(NamedTuple):
    """frames (B, N, 3, H, W) float, key-points (B, N, 18, 2) normalised, expression scores (B, N, 52) or None."""

    frames: torch.Tensor
    keypoints: torch.Tensor
    expressions: torch.Tensor | None


def network_input(batch: Batch, config: DataConfig) -> NetworkInput:
    """A batch as the network takes it."""
    frames, keypoints = prepare(
        batch.frames,
        batch.keypoints,
        batch.windows,
        batch.flips,
        batch.colours if config.colour else None,
        crop_fraction=config.crop_fraction,
        image_size=config.image_size,
    )
    expressions = batch.expressions
    if expressions is not None:
        expressions = flip_expressions(expressions, batch.flips)
    return NetworkInput(frames, keypoints, expressions)


def judge(predictions: pl.DataFrame, labels: Sequence[str]) -> Figures:
    """The figures of a prediction table (`predictions.py`) over its clips with a class of the network."""
    judged = only_covered(predictions, labels)
    usable = judged.filter("usable")
    whole, part = (_confusion(table, labels) for table in (judged, usable))
    return Figures(
        clips=len(judged),
        usable=len(usable),
        war=metrics.war(whole),
        uar=metrics.uar(whole),
        war_usable=metrics.war(part),
        uar_usable=metrics.uar(part),
        loss=_mean_loss(usable, labels),
        confusion=whole,
    )


def by_group(predictions: pl.DataFrame, column: str, labels: Sequence[str]) -> pl.DataFrame:
    """A row for each value of a column of the prediction table: its clips, usable ones, WAR and UAR over all."""
    judged = only_covered(predictions, labels).with_columns(hit=pl.col("label") == pl.col("predicted"))
    recalls = judged.group_by(column, "label").agg(recall=pl.col("hit").mean())
    uar = recalls.group_by(column).agg(uar=pl.col("recall").mean())
    counted = judged.group_by(column).agg(
        clips=pl.len().cast(pl.Int64), usable=pl.col("usable").sum().cast(pl.Int64), war=pl.col("hit").mean()
    )
    return counted.join(uar, on=column, nulls_equal=True).sort(column)


def evaluation(
    kept: Checkpoint, dataset: str, clips: str, predictions: pl.DataFrame, **about: Any
) -> Evaluation:
    """All there is to say of a checkpoint's prediction table. clips: which of the dataset's, in a word; about: the
    fields of an Evaluation that do not follow from the table."""
    labels = kept.labels
    grouped = [name for name in ("dataset", *GROUPED) if name in predictions.columns]
    groups = [name for name in grouped if predictions[name].drop_nulls().n_unique() > 1]
    return Evaluation(
        labels=labels,
        epochs=kept.epoch,
        dataset=dataset,
        clips=clips,
        predictions=predictions,
        figures=judge(predictions, labels),
        intervals=intervals(only_covered(predictions, labels), labels),
        groups={name: by_group(predictions, name, labels) for name in groups},
        **about,
    )


def _mean_loss(predictions: pl.DataFrame, labels: Sequence[str]) -> float:
    if predictions.is_empty():
        return float("nan")
    shares = predictions.select(f"p_{label}" for label in labels).to_numpy()
    own = shares[np.arange(len(shares)), label_ids(predictions, labels)]
    return float(-np.log(np.maximum(own, np.finfo(np.float32).tiny)).mean())


def _confusion(predictions: pl.DataFrame, labels: Sequence[str]) -> np.ndarray:
    truth = np.array(label_ids(predictions, labels), int)
    predicted = np.array(label_ids(predictions.select(label="predicted"), labels), int)
    return metrics.confusion(truth, predicted, len(labels))
