"""Made-up clips in the form that a network takes: for a first try, for tracing, and for following the shapes."""

import torch

from dfer.schemas.blendshapes import BLENDSHAPES
from dfer.schemas.keypoints import LANDMARKS
from dfer.train.models.interface import ClipNetwork, NetworkInput
from dfer.train.models.settings import NetworkSettings


def made_up_input(network: ClipNetwork, settings: NetworkSettings, clips: int, frames: int) -> NetworkInput:
    """Random clips, the same in every call; landmarks and expression scores only if the settings take them."""
    random, shape = torch.Generator().manual_seed(0), (clips, frames)
    side = network.task.image_size
    return NetworkInput(
        frames=torch.randn(*shape, 3, side, side, generator=random),
        keypoints=torch.rand(*shape, network.task.keypoints.count, 2, generator=random),
        detected=torch.rand(shape, generator=random) < 0.8,
        landmarks=torch.rand(*shape, LANDMARKS, 2, generator=random) if settings.takes_landmarks else None,
        expressions=torch.rand(*shape, len(BLENDSHAPES), generator=random)
        if settings.takes_expressions
        else None,
    )
