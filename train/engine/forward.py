"""The forward pass: a stored batch to network input, to scores, and many batches to class probabilities."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from dfer.train.config import DataConfig, TrainConfig
from dfer.train.data.augment import flip_expressions, flip_landmarks, prepare
from dfer.train.data.dataset import Batch, Request
from dfer.train.data.loader import Loader
from dfer.train.engine.precision import autocast
from dfer.train.models.keypoint.network import Scores


class NetworkInput(NamedTuple):
    """What the network takes.

    frames: (B, N, 3, H, W) float, normalised
    keypoints: (B, N, K, 2) normalised to the crop
    detected: (B, N) bool, whether the frame's face was found
    landmarks: (B, N, 68, 2) divided by the stored crop's side, or None
    expressions: (B, N, 52) expression scores, or None
    """

    frames: Tensor
    keypoints: Tensor
    detected: Tensor
    landmarks: Tensor | None
    expressions: Tensor | None


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
    """Compute the network's scores for a batch on its device. mix: each clip's own share (mixup)."""
    with autocast(config.execution.precision, device):
        return network(**network_input(batch, config.data)._asdict(), mix=mix)


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

    Returns class probabilities (clips, classes) float32, in the plan's order.
    """
    network.eval()
    parts = [np.zeros((0, network.classes), np.float32)]
    for batch in loader.batches(plan):
        scores = scores_of(network, batch.to(device), config, device)
        parts.append(scores.clip.float().softmax(1).cpu().numpy())
        on_batch()
    return np.concatenate(parts)


def batch_size(config: TrainConfig, processes: int = 1) -> int:
    """How many clips a process predicts at a time: as many as in a part of a training step, which fit in memory."""
    return -(-config.recipe.batch_size // (processes * config.execution.accumulate))
