"""The forward pass: a stored batch to network input, to scores, and many batches to class probabilities."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from torch import nn

from dfer.schemas.support.errors import UserError
from dfer.train.config import DataConfig, TrainConfig
from dfer.train.data.augment import flip_expressions, flip_landmarks, prepare
from dfer.train.data.dataset import Batch, Request
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


def refuse_nan(probabilities: np.ndarray) -> None:
    """Raise UserError if a probability is NaN."""
    if not np.isfinite(probabilities).all():
        raise UserError(
            "the network's scores are not numbers (NaN); try a smaller --learning-rate, or --clip-norm 1"
        )


def batch_size(config: TrainConfig, processes: int = 1) -> int:
    """How many clips a process predicts at a time: as many as in a part of a training step, which fit in memory."""
    return -(-config.recipe.batch_size // (processes * config.execution.accumulate))
