"""ESTLNet: two channels of spatial features fused, then attention over frames with a gated recurrent feed-forward.

Gong, Qian, Zhou, Leng 2024, "Enhanced spatial-temporal learning network for dynamic facial expression recognition",
Biomedical Signal Processing and Control 88, 105316. We found no public code and no printed number of
parameters. As far as published.

**We had the abstract and what others write about the network, not the article.** Known from the abstract: a spatial
fusion learning module (SFLM), which fuses the features of two channels; a temporal transformer enhancement module
(TTEM), an encoder that cascades self-attention and a gated feed-forward network. Known from Huang et al. 2024
(Section 2.1): the spatial part uses multi-level convolution and masked convolution, the temporal one stacked
transformer blocks and GRUs.

What this leaves open, and what was chosen:

- Trunk: ResNet-18, as in most networks of the paper's tables; 16 frames of 112 px.
- Multi-level channel: the maps of the last three stages, each through a 1×1 convolution and averaged to the size of
  the last map, then added.
- Masked channel: a 3×3 convolution over the last map that leaves out hidden places and divides by the share that is
  seen (partial convolution, Liu et al. 2018). The mask is learned, a sigmoid of a 1×1 convolution, since occlusions
  are not labelled.
- Fusion: both side by side, (256 + 256) channels, and the mean over places.
- TTEM: learned positions, three pre-norm blocks with 8 heads × 64. "Gated" and "GRUs" are read as one thing: the
  first layer of the feed-forward network is a GRU over the frames, as in the dual-path transformer (Chen et al.
  2020).
- The clip's vector is the mean over frames, the classifier one linear layer, the loss one cross-entropy.
- Initial weights: random (He normal, fan-out; truncated normal 0.02 for positions).
"""

from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dfer.schemas.support.settings import setting
from dfer.train.models.attention import Attention, Block
from dfer.train.models.initial_weights import parameter
from dfer.train.models.interface import ClipNetwork, NetworkInput, Scores, Source, Task
from dfer.train.models.resnet import STAGE_WIDTHS, ResNet18
from dfer.train.models.settings import NetworkSettings


@dataclass(frozen=True, kw_only=True)
class EstlnetConfig(NetworkSettings):
    """The sizes of ESTLNet."""

    channels: int = setting(256, "features of each of the two spatial channels", low=1, high=4096)
    depth: int = setting(3, "temporal blocks", low=1, high=100)
    heads: int = setting(8, "attention heads", low=1, high=100)
    head_dim: int = setting(64, "size of an attention head", low=1, high=4096)
    gru_width: int = setting(512, "hidden units of the feed-forward network's GRU", low=1, high=65536)


class MultiLevel(nn.Module):
    """The maps of several stages, each projected and brought to the size of the last, then added."""

    def __init__(self, widths: tuple[int, ...], channels: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, channels, 1, bias=False), nn.BatchNorm2d(channels))
            for width in widths
        )

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Maps (B, C_k, h_k, w_k) → (B, channels, h, w), the size of the last."""
        size = maps[-1].shape[2:]
        projected = [level(x) for level, x in zip(self.levels, maps, strict=True)]
        return F.relu(torch.stack([F.adaptive_avg_pool2d(x, size) for x in projected]).sum(0))


class MaskedConvolution(nn.Module):
    """A 3×3 convolution over the places that a learned mask shows."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.mask = nn.Conv2d(inputs, 1, 1)
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) → (B, outputs, h, w)."""
        shown = self.mask(x).sigmoid()  # (B, 1, h, w)
        share = F.avg_pool2d(shown, 3, stride=1, padding=1, count_include_pad=False)  # (B, 1, h, w)
        return F.relu(self.norm(self.conv(x * shown) / share.clamp(min=1e-3)))


class SpatialFusion(nn.Module):
    """The SFLM: images (B, 3, H, W) → (B, 2 · channels)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.trunk = ResNet18()
        self.multi_level = MultiLevel(STAGE_WIDTHS[1:], channels)
        self.masked = MaskedConvolution(STAGE_WIDTHS[-1], channels)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.trunk.maps(images)[1:]  # (B, 128, H/8, W/8), (B, 256, H/16, W/16), (B, 512, H/32, W/32)
        fused = torch.cat([self.multi_level(maps), self.masked(maps[-1])], dim=1)
        return fused.mean((2, 3))  # (B, 2 · channels)


class GatedFeedForward(nn.Module):
    """A feed-forward network whose first layer is a GRU over the frames."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gru = nn.GRU(width, hidden, batch_first=True)
        self.out = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, R) → the same."""
        return self.out(F.relu(self.gru(x)[0]))


def enhanced_block(width: int, config: EstlnetConfig) -> Block:
    """A pre-norm block of the TTEM, with the gated feed-forward network as its MLP."""
    attention = Attention(width, config.heads, config.head_dim, bias=False, out_bias=False)
    return Block(attention, GatedFeedForward(width, config.gru_width))


class TemporalEnhancement(nn.Module):
    """The TTEM: frame vectors (B, N, R) → the clip's (B, R), the mean over frames after `depth` blocks."""

    def __init__(self, width: int, frames: int, config: EstlnetConfig) -> None:
        super().__init__()
        self.positions = parameter(1, frames, width)
        self.blocks = nn.Sequential(*(enhanced_block(width, config) for _ in range(config.depth)))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.blocks(x + self.positions)).mean(1)  # (B, R)


class Estlnet(ClipNetwork):
    """ESTLNet. It ignores which frames are real, and takes any size and any number of frames."""

    Config = EstlnetConfig
    source = Source(
        citation="Gong et al. 2024, Biomedical Signal Processing and Control",
        gaps="trunk, both spatial channels, the gate, all sizes and the recipe: only the abstract was at hand",
    )
    parts = MappingProxyType(
        {
            "spatial": "SFLM: ResNet-18, multi-level and masked convolution side by side",
            "temporal": "TTEM: blocks of self-attention and a feed-forward network with a GRU, mean over frames",
            "head": "classifier",
        }
    )

    def __init__(self, config: EstlnetConfig, task: Task) -> None:
        super().__init__(task)
        width = 2 * config.channels  # R
        self.spatial = SpatialFusion(config.channels)
        self.temporal = TemporalEnhancement(width, task.num_frames, config)
        self.head = nn.Linear(width, task.classes)

    def forward(self, given: NetworkInput) -> Scores:
        vectors = self.spatial(given.frames.flatten(0, 1)).unflatten(0, given.frames.shape[:2])  # (B, N, R)
        return Scores(self.head(self.temporal(vectors)))  # (B, classes)
