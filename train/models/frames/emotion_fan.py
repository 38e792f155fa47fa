"""Emotion-FAN, frame attention networks (Meng et al. 2019, ICIP): a weighted mean of the frames' vectors.

ResNet-18 turns each frame into a vector f_i. Self-attention weighs a frame by its own vector, α_i = σ(f_i ·
q⁰), which gives the clip's vector f'_v = Σ α_i f_i / Σ α_i. Relation-attention weighs a frame by its vector
next to the clip's, β_i = σ([f_i : f'_v] · q¹), and the result is Σ α_i β_i [f_i : f'_v] / Σ α_i β_i. The
first step alone is `attention = "self"`.

The paper could not be read again here, so this was checked against its public code (Open-Debin/Emotion-FAN),
whose scores in training it reproduces from the same weights. From that code: dropout of 0.5 before each
attention weight and before the classifier of `self`, 0.6 before that of `relation`; biases. In evaluation
that code leaves β out of the numerator; here it is the same as in training.

Input there: 224 px; three frames in training, all frames in evaluation. Here both have the task's number of
frames. With 7 classes there are 11.2 M parameters; we know of no printed number.

Weights start at random; the public code starts from a ResNet-18 trained on FER+.
"""

from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn

from dfer.schemas.support.settings import setting
from dfer.train.models.frames.frame_vectors import frame_vectors
from dfer.train.models.interface import ClipNetwork, NetworkInput, Scores, Source, Task
from dfer.train.models.resnet import CHANNELS, ResNet18
from dfer.train.models.settings import NetworkSettings

DROPOUT = 0.5
RELATION_DROPOUT = 0.6  # before the classifier of both attentions


@dataclass(frozen=True, kw_only=True)
class EmotionFanConfig(NetworkSettings):
    """How frames are weighed."""

    attention: str = setting(
        "relation",
        "what weighs a frame: its own vector, or also that vector next to the clip's",
        choices=("self", "relation"),
    )


class FrameWeight(nn.Module):
    """A weight between 0 and 1 for each vector: (…, inputs) → (…, 1)."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Dropout(DROPOUT), nn.Linear(inputs, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class EmotionFan(ClipNetwork):
    """Weigh the frames of a clip and classify their mean. The order of the frames does not matter."""

    Config = EmotionFanConfig
    source = Source(citation="Meng et al. 2019, ICIP")
    parts = MappingProxyType(
        {
            "backbone": "ResNet-18, frame by frame",
            "self_weight": "self-attention: a weight from a frame's vector",
            "relation_weight": "relation-attention: a weight from the frame's and the clip's vector",
            "head": "linear classifier, after dropout",
        }
    )

    def __init__(self, config: EmotionFanConfig, task: Task) -> None:
        super().__init__(task)
        related = config.attention == "relation"
        width = 2 * CHANNELS if related else CHANNELS
        self.backbone = ResNet18()
        self.self_weight = FrameWeight(CHANNELS)
        self.relation_weight = FrameWeight(width) if related else None
        self.dropout = nn.Dropout(RELATION_DROPOUT if related else DROPOUT)
        self.head = nn.Linear(width, task.classes)

    def forward(self, given: NetworkInput) -> Scores:
        vectors = frame_vectors(self.backbone, given.frames)  # f: (B, N, 512)
        weights = self.self_weight(vectors)  # α: (B, N, 1)
        clip = weighted_mean(vectors, weights)  # f'_v: (B, 512)
        if self.relation_weight is not None:
            vectors = torch.cat([vectors, clip[:, None].expand_as(vectors)], dim=2)  # (B, N, 1024)
            weights = weights * self.relation_weight(vectors)  # α β: (B, N, 1)
            clip = weighted_mean(vectors, weights)  # (B, 1024)
        return Scores(self.head(self.dropout(clip)))  # (B, classes)


def weighted_mean(x: Tensor, weights: Tensor) -> Tensor:
    """Average x (B, N, C) with positive weights (B, N, 1) → (B, C)."""
    return (x * weights).sum(1) / weights.sum(1)
