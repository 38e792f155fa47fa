"""The forward pass: a batch as the network takes it, its scores, the probabilities of many clips."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from dfer.train.config import DataConfig, TrainConfig
from dfer.train.data.augment import flip_expressions, prepare
from dfer.train.data.dataset import Batch, Request
from dfer.train.data.loader import Loader
from dfer.train.engine.precision import autocast
from dfer.train.models.keypoint.network import Scores


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
        batch.colours if config.color_jitter else None,
        crop_fraction=config.crop_fraction,
        image_size=config.image_size,
    )
    expressions = batch.expressions
    if expressions is not None:
        expressions = flip_expressions(expressions, batch.flips)
    return NetworkInput(frames, keypoints, expressions)


def scores_of(
    network: nn.Module, batch: Batch, config: TrainConfig, device: torch.device, mix: float = 1.0
) -> Scores:
    """What a network says of a batch on its device. mix: as the network takes it."""
    with autocast(config.execution.precision, device):
        return network(*network_input(batch, config.data), mix=mix)


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


def batch_size(config: TrainConfig, processes: int = 1) -> int:
    """How many clips a process judges at once: as many as it computes at once in training, which fit its memory."""
    return -(-config.recipe.batch_size // (processes * config.execution.accumulate))
