"""What a network computes for clips: the classifier's input, the attention to frames, W_a of the key-points.

Recorded with hooks during prediction, so that the report shows what the prediction is based on.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from dfer.train.config import TrainConfig
from dfer.train.data.augment import MEAN, STD
from dfer.train.data.dataset import in_batches
from dfer.train.data.loader import Loader
from dfer.train.engine.forward import batch_size, network_input, scores_of
from dfer.train.models.keypoint.heatmaps import gaussian_maps
from dfer.train.models.keypoint.network import DferNetwork
from dfer.train.models.keypoint.temporal import TemporalTransformer


@dataclass(frozen=True, kw_only=True)
class Activations:
    """Activations for n clips of N frames.

    features: (n, R) input of the classifier
    attention: (n, blocks, N) the class token's attention to the frames, mean over heads, sums to 1 over the frames;
        None without a transformer
    keypoint_weights: (n, N, K) W_a of Eq. 3; None if the graph passes no messages
    """

    features: np.ndarray
    attention: np.ndarray | None
    keypoint_weights: np.ndarray | None


@dataclass(frozen=True, kw_only=True)
class InputClip:
    """One clip as the network receives it.

    frames: (N, S, S, 3) uint8
    keypoints: (N, K, 2) pixels of the frames
    maps: (N, K, h, w) Gaussian maps of the key-points on the network's grid, with a peak of at most 1
    """

    frames: np.ndarray
    keypoints: np.ndarray
    maps: np.ndarray


@torch.inference_mode()
def record_activations(
    network: DferNetwork, loader: Loader, clips: Sequence[int], config: TrainConfig, device: torch.device
) -> Activations:
    """Run the network on clips of the loader's dataset and record its activations.

    network: on `device`
    clips: indices into the dataset
    config: the network's settings
    """
    network.eval()
    features: list[np.ndarray] = []
    attention: list[np.ndarray] = []
    weights: list[np.ndarray] = []
    blocks: list[torch.Tensor] = []
    with ExitStack() as hooks:
        hooks.enter_context(_on_input(network.clip_head, lambda x: features.append(_array(x))))
        if isinstance(network.temporal, TemporalTransformer):
            for block in network.temporal.blocks:
                watched = block.attention
                hooks.enter_context(
                    _on_input(watched, lambda x, seen, a=watched: blocks.append(a.weights(x, seen)))
                )
        if _has_messages(network):
            hooks.enter_context(
                _on_input(network.graph, lambda v, g: weights.append(_array(network.graph.edge_gate(v, g))))
            )
        for batch in loader.batches(in_batches(clips, batch_size(config))):
            scores_of(network, batch.to(device), config, device)
            if blocks:
                attention.append(_array(torch.stack([_to_frames(block) for block in blocks], 1)))
                blocks.clear()
    frames = config.data.num_frames
    return Activations(
        features=np.concatenate(features),
        attention=np.concatenate(attention) if attention else None,
        keypoint_weights=np.concatenate(weights).reshape(len(clips), frames, -1) if weights else None,
    )


@torch.inference_mode()
def input_clips(
    loader: Loader, clips: Sequence[int], network: DferNetwork, config: TrainConfig
) -> list[InputClip]:
    """Clips of the loader's dataset, by index, as the network receives them."""
    grid = _grid(network, config)
    found = []
    for batch in loader.batches(in_batches(clips, 1)):
        given = network_input(batch, config.data)
        mean, std = (given.frames.new_tensor(values).view(3, 1, 1) for values in (MEAN, STD))
        pixels = ((given.frames[0] * std + mean) * 255).round().clamp(0, 255).byte()  # (N, 3, S, S)
        points = given.keypoints[0]  # (N, K, 2)
        maps = gaussian_maps(points, *grid, config.network.heatmap_sigma, "peak")  # (N, K, h, w)
        found.append(
            InputClip(
                frames=pixels.permute(0, 2, 3, 1).numpy(),
                keypoints=(points * config.data.image_size - 0.5).numpy(),
                maps=maps.numpy(),
            )
        )
    return found


def _grid(network: DferNetwork, config: TrainConfig) -> tuple[int, int]:
    """Height and width of the backbone's map."""
    size = config.data.image_size
    device = next(network.parameters()).device
    _, _, height, width = network.backbone(torch.zeros(1, 3, size, size, device=device)).shape
    return height, width


def _has_messages(network: DferNetwork) -> bool:
    return network.graph is not None and network.graph.relation is not None


def _to_frames(weights: torch.Tensor) -> torch.Tensor:
    """The class token's attention (B, heads, N + 1, N + 1) → (B, N), normalised over the frames; 0 if all masked."""
    given = weights[:, :, 0, 1:].mean(1)
    return (given / given.sum(1, keepdim=True)).nan_to_num()


def _on_input(module: nn.Module, keep: Callable[..., None]) -> RemovableHandle:
    """Call `keep` with each input of a module, until the handle's context ends."""

    def hook(_module: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        keep(*given)

    return module.register_forward_pre_hook(hook)


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.float().cpu().numpy()
