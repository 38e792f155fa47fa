"""Former-DFER: a transformer over the places of each frame inside ResNet-18, then one over the frames.

Zhao and Liu 2021, "Former-DFER: Dynamic Facial Expression Recognition Transformer", ACM Multimedia. Input there:
16 frames (two of each eighth of the clip) of 112 px, values 0–1. Printed: 18 M parameters.

Checked against the authors' public code (zengqunzhao/Former-DFER, commit 1b5ad6f): the same parameters, shape by
shape, 18 031 943 for 7 classes, and the same scores from the same weights. These facts come from the code: the map
is 7×7×256 where the spatial transformer stands, after stage 3 (14×14 is stage 2's, with 128 channels); the MLPs
have 512 and 1024 hidden units; attention has a bias in its output only; GELU is tanh's approximation; dropout is
off and no norm follows the last block; linear layers start as PyTorch's, tokens and positions as a standard normal.

Ours: frames are normalised with ImageNet's mean and deviation; positions are made for the task's image size.
"""

from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn

from dfer.schemas.support.settings import setting
from dfer.train.models.attention import Attention, Block, mlp
from dfer.train.models.interface import ClipNetwork, NetworkInput, Scores, Source, Task
from dfer.train.models.resnet import CHANNELS
from dfer.train.models.settings import NetworkSettings
from dfer.train.models.transformers.resnet_stages import MAP_CHANNELS, ResNetStages, map_side


@dataclass(frozen=True, kw_only=True)
class FormerDferConfig(NetworkSettings):
    """The sizes of Former-DFER's two transformers."""

    spatial_depth: int = setting(1, "blocks of the spatial transformer", low=1, high=100)
    spatial_heads: int = setting(8, "attention heads of the spatial transformer", low=1, high=100)
    spatial_head_dim: int = setting(32, "size of a head of the spatial transformer", low=1, high=4096)
    spatial_mlp_width: int = setting(512, "hidden units of the spatial transformer's MLP", low=1, high=65536)
    depth: int = setting(3, "blocks of the temporal transformer", low=1, high=100)
    heads: int = setting(8, "attention heads of the temporal transformer", low=1, high=100)
    head_dim: int = setting(64, "size of a head of the temporal transformer", low=1, high=4096)
    mlp_width: int = setting(1024, "hidden units of the temporal transformer's MLP", low=1, high=65536)


def blocks(depth: int, width: int, heads: int, head_dim: int, mlp_width: int) -> nn.Sequential:
    """Transformer blocks in a row: (B, T, R) → (B, T, R). width: R"""
    return nn.Sequential(
        *(
            Block(
                Attention(width, heads, head_dim, bias=False),
                mlp(width, mlp_width, nn.GELU(approximate="tanh")),
            )
            for _ in range(depth)
        )
    )


class SpatialTransformer(nn.Module):
    """Let the places of a map attend to each other: (B, 256, h, w) → (B, 256, h, w).

    places: h · w
    """

    def __init__(self, config: FormerDferConfig, places: int) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.randn(1, places, MAP_CHANNELS))
        self.blocks = blocks(
            config.spatial_depth,
            MAP_CHANNELS,
            config.spatial_heads,
            config.spatial_head_dim,
            config.spatial_mlp_width,
        )

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2) + self.positions  # (B, h·w, 256)
        return self.blocks(tokens).transpose(1, 2).reshape(x.shape)  # (B, 256, h, w)


class TemporalTransformer(nn.Module):
    """From the vectors of N frames to that of the class token: (B, N, 512) → (B, 512)."""

    def __init__(self, config: FormerDferConfig, frames: int) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(1, 1, CHANNELS))
        self.positions = nn.Parameter(torch.randn(1, frames + 1, CHANNELS))
        self.blocks = blocks(config.depth, CHANNELS, config.heads, config.head_dim, config.mlp_width)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1) + self.positions  # (B, N + 1, 512)
        return self.blocks(x)[:, 0]  # (B, 512)


class FormerDfer(ClipNetwork):
    """Former-DFER (Zhao and Liu 2021)."""

    Config = FormerDferConfig
    source = Source(citation="Zhao and Liu 2021, ACM Multimedia", parameters=18)
    parts = MappingProxyType(
        {
            "backbone": "ResNet-18; stages 1 to 3 before, stage 4 after the spatial transformer",
            "spatial": "transformer over the places of a frame",
            "temporal": "transformer over the frames, with a class token",
            "head": "linear layer to the classes",
        }
    )

    def __init__(self, config: FormerDferConfig, task: Task) -> None:
        super().__init__(task)
        self.backbone = ResNetStages()
        self.spatial = SpatialTransformer(config, places=map_side(task.image_size) ** 2)
        self.temporal = TemporalTransformer(config, task.num_frames)
        self.head = nn.Linear(CHANNELS, task.classes)

    def forward(self, given: NetworkInput) -> Scores:
        x = given.frames.flatten(0, 1)  # (B·N, 3, H, W)
        x = self.spatial(self.backbone.first_stages(x))  # (B·N, 256, H/16, W/16)
        x = self.backbone.last_stage(x).mean((2, 3))  # (B·N, 512)
        x = self.temporal(x.unflatten(0, given.frames.shape[:2]))  # (B, 512)
        return Scores(clip=self.head(x))
