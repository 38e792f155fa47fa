"""What a network computes for clips: the classifier's input, the attention to frames, weights of the key-points."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from dfer.train.config import TrainConfig
from dfer.train.data.augment import MEAN, STD
from dfer.train.data.dataset import in_batches
from dfer.train.data.loader import Loader
from dfer.train.engine.forward import batch_size, network_input
from dfer.train.engine.precision import autocast
from dfer.train.models.interface import ClipNetwork


@dataclass(frozen=True, kw_only=True)
class RecordedActivations:
    """What a network's `activations` gave for n clips of N frames.

    features: (n, R) input of the classifier
    attention: (n, blocks, N) attention to the frames, mean over heads, sums to 1 over the frames; None without it
    keypoint_weights: (n, N, K) W_a of Eq. 3; None if the network has none
    """

    features: np.ndarray
    attention: np.ndarray | None
    keypoint_weights: np.ndarray | None


@dataclass(frozen=True, kw_only=True)
class InputClip:
    """One clip as the network receives it.

    frames: (N, S, S, 3) uint8
    keypoints: (N, K, 2) pixels of the frames
    maps: (N, K, h, w), 0–1, by which the network looks at key-points; None if it does not
    """

    frames: np.ndarray
    keypoints: np.ndarray
    maps: np.ndarray | None


@torch.inference_mode()
def record_activations(
    network: ClipNetwork, loader: Loader, clips: Sequence[int], config: TrainConfig, device: torch.device
) -> RecordedActivations:
    """Run the network on clips of the loader's dataset and record its activations.

    network: on `device`
    clips: indices into the dataset
    config: the network's settings
    """
    network.eval()
    found = []
    for batch in loader.batches(in_batches(clips, batch_size(config))):
        with autocast(config.execution.precision, device):
            found.append(network.activations(network_input(batch.to(device), config.data)))
    features, attention, weights = (_joined(parts) for parts in zip(*found, strict=True))
    return RecordedActivations(features=features, attention=attention, keypoint_weights=weights)


@torch.inference_mode()
def input_clips(
    loader: Loader, clips: Sequence[int], network: ClipNetwork, config: TrainConfig
) -> list[InputClip]:
    """Clips of the loader's dataset, by index, as the network receives them."""
    device = next(network.parameters()).device
    found = []
    for batch in loader.batches(in_batches(clips, 1)):
        given = network_input(batch.to(device), config.data)
        mean, std = (given.frames.new_tensor(values).view(3, 1, 1) for values in (MEAN, STD))
        pixels = ((given.frames[0] * std + mean) * 255).round().clamp(0, 255).byte()  # (N, 3, S, S)
        maps = network.keypoint_maps(given)  # (1, N, K, h, w)
        found.append(
            InputClip(
                frames=pixels.permute(0, 2, 3, 1).cpu().numpy(),
                keypoints=_array(given.keypoints[0] * config.data.image_size - 0.5),
                maps=None if maps is None else _array(maps[0]),
            )
        )
    return found


def _joined(parts: Sequence[torch.Tensor | None]) -> np.ndarray | None:
    return None if parts[0] is None else np.concatenate([_array(part) for part in parts])


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.float().cpu().numpy()
