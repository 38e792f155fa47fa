"""The forward pass: a stored batch to network input, to scores, and many batches to class probabilities."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import polars as pl
import torch
from torch import nn

from dfer.schemas.support.errors import UserError
from dfer.train.config import DataConfig, TrainConfig
from dfer.train.data.augment import flip_expressions, flip_landmarks, prepare
from dfer.train.data.caches import Pool
from dfer.train.data.dataset import Batch, Request, clip_dataset, in_batches, view_spec
from dfer.train.data.loader import Loader
from dfer.train.engine.precision import autocast
from dfer.train.models.interface import NetworkInput, Scores


def network_input(batch: Batch, config: DataConfig) -> NetworkInput:
    """Augment and normalise a batch, on the device that holds it."""
    frames, keypoints = prepare(
        batch.frames,
        batch.keypoints,
        batch.windows,
        batch.flips,
        batch.color_jitter if config.color_jitter else None,
        keypoint_flip=batch.keypoint_flip,
        crop_fraction=config.crop_fraction,
        image_size=config.image_size,
    )
    landmarks, expressions = batch.landmarks, batch.expressions
    if (
        landmarks is not None
    ):  # in the stored crop, not in the window: a shift says nothing about the expression
        side = batch.frames.shape[-1]
        landmarks = flip_landmarks(landmarks, batch.flips, side) / side
    if expressions is not None:
        expressions = flip_expressions(expressions, batch.flips)
    return NetworkInput(frames, keypoints, batch.detected, landmarks, expressions)


def scores_of(
    network: nn.Module, batch: Batch, config: TrainConfig, device: torch.device, mix: float = 1.0
) -> Scores:
    """Compute the scores for a batch on the network's device, adjusted for the classes' frequency when predicting.

    network: a ClipNetwork, or one in DistributedDataParallel
    mix: each clip's own share (mixup)
    """
    own = getattr(network, "module", network)
    given = network_input(batch, config.data)
    if mix < 1:
        given = given._replace(mix=mix) if own.mixes_hidden else _blended(given, mix)
    with autocast(config.execution.precision, device):
        scores = network(given)
    if own.training or own.class_shift is None:
        return scores
    return scores._replace(clip=scores.clip + own.class_shift)


def _blended(given: NetworkInput, mix: float) -> NetworkInput:
    """Mixup of the frames (Zhang et al. 2018)."""
    return given._replace(frames=mix * given.frames + (1 - mix) * given.frames.roll(1, 0))


@torch.inference_mode()
def predict(
    network: nn.Module,
    loader: Loader,
    plan: Iterable[Sequence[Request]],
    config: TrainConfig,
    device: torch.device,
    on_batch: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """Predict the clips of a plan (see `dataset.in_batches`).

    on_batch: called after each batch

    Returns class probabilities (clips, classes) float32, in the plan's order; see `refuse_nan`.
    """
    network.eval()
    parts = [np.zeros((0, network.classes), np.float32)]
    for batch in loader.batches(plan):
        scores = scores_of(network, batch.to(device), config, device)
        parts.append(scores.clip.float().softmax(1).cpu().numpy())
        on_batch()
    return np.concatenate(parts)


def predict_clips(
    network: nn.Module,
    pool: Pool,
    clips: pl.DataFrame,
    config: TrainConfig,
    device: torch.device,
    *,
    views: int = 1,
    loader_workers: int = 0,
    on_batch: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """Predict clips of a pool, whatever their labels are.

    clips: usable rows of the pool's table
    views: how many views of each clip to average (`sampling.evaluation_view`)

    Returns class probabilities (clips, classes) float64, their mean over the views. Not the mean of their logarithms,
    with which a single view that is sure of a wrong class outweighs all others; and the mean of probabilities sums to
    1 as it is. Raises UserError for a damaged clip, or if the pool lacks expression scores that the network needs.
    """
    unlabelled = clips.with_columns(label=pl.lit(None, pl.String))  # the network may not know all labels
    dataset = clip_dataset(pool, unlabelled, (), view_spec(config))
    every, size = range(len(clips)), batch_size(config)
    plan = (batch for view in range(views) for batch in in_batches(every, size, view))
    found = predict(network, Loader(dataset, loader_workers, device), plan, config, device, on_batch)
    return found.reshape(views, len(clips), network.classes).mean(0, dtype=np.float64)


def refuse_nan(probabilities: np.ndarray) -> None:
    """Raise UserError if a probability is NaN."""
    if not np.isfinite(probabilities).all():
        raise UserError(
            "the network's scores are not numbers (NaN); try a smaller --learning-rate, or --clip-norm 1"
        )


def batch_size(config: TrainConfig, processes: int = 1) -> int:
    """How many clips a process predicts at a time: as many as in a part of a training step, which fit in memory."""
    return -(-config.recipe.batch_size // (processes * config.execution.accumulate))
