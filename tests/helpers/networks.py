"""The paper's network, and clips for it."""

import torch
from torch import Tensor

from dfer.schemas.keypoints import DLIB18, KeypointSet
from dfer.train.models import registry
from dfer.train.models.interface import NetworkInput
from dfer.train.models.keypoint.network import KeypointNetwork
from dfer.train.models.keypoint.settings import KeypointSettings
from dfer.train.models.settings import Task


def build(
    config: KeypointSettings, classes: int, num_frames: int, seed: int, keypoints: KeypointSet = DLIB18
) -> KeypointNetwork:
    """The paper's network with these settings."""
    task = Task(classes=classes, num_frames=num_frames, image_size=112, keypoints=keypoints)
    return registry.build(registry.PAPER, config, task, seed)


def seen(frames: Tensor, keypoints: Tensor, **others: Tensor | float) -> NetworkInput:
    """Clips whose face was found in every frame."""
    return NetworkInput(frames, keypoints, torch.ones(frames.shape[:2], dtype=torch.bool), **others)
