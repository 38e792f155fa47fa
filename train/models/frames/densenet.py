"""DenseNet-161 (Huang G. et al. 2017, CVPR) on each frame, averaged over the frames of a clip.

The tables for AFEW cite Liu C. et al. 2018 (ICMI, "Multi-feature based emotion recognition for video clips"),
which has a DenseNet-161. How they turn frames into one prediction could not be read here; this is the plain
average. Huang et al. 2024 print 27 M parameters (Tables 4 and 8); with 7 classes there are 26.5 M.

Huang G. et al. 2017 print the parts: a layer is norm, ReLU, 1×1 convolution to four growth rates, norm, ReLU,
3×3 convolution to one; a transition halves channels and size; the stem has twice the growth rate of channels.
224 px there. DenseNet-161 has a growth rate of 48 and blocks of 6, 12, 36 and 24 layers, as in the authors'
public code.

Weights start at random (He normal, fan-out), which Liu C. et al.'s surely did not.
"""

from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn

from dfer.schemas.support.errors import UserError
from dfer.schemas.support.settings import setting
from dfer.train.models.frames.frame_vectors import average_setting, averaged, frame_vectors
from dfer.train.models.initial_weights import start_convolutions
from dfer.train.models.interface import ClipNetwork, NetworkInput, Scores, Source, Task
from dfer.train.models.settings import NetworkSettings

STEM = 2  # growth rates of channels after the stem
BOTTLENECK = 4  # growth rates of channels between the two convolutions of a layer


@dataclass(frozen=True, kw_only=True)
class DenseNetConfig(NetworkSettings):
    """The size of the DenseNet, and what is averaged. The defaults are DenseNet-161."""

    growth_rate: int = setting(48, "channels that each layer adds", low=1, high=1024)
    block_layers: tuple[int, ...] = setting((6, 12, 36, 24), "layers of each dense block", low=1, high=1000)
    average: str = average_setting()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.block_layers:
            raise UserError("--block-layers: give at least one number")


class DenseLayer(nn.Module):
    """Add `growth_rate` channels that are computed from all channels so far."""

    def __init__(self, inputs: int, growth_rate: int) -> None:
        super().__init__()
        inner = BOTTLENECK * growth_rate
        self.new = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(inputs, inner, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(inplace=True),
            nn.Conv2d(inner, growth_rate, 3, padding=1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) → (B, C + growth_rate, h, w)."""
        return torch.cat([x, self.new(x)], dim=1)


class DenseNet(nn.Module):
    """Turn images (B, 3, H, W) into a map (B, channels, h, w); 224 px give 7×7.

    `channels`: 2208 for DenseNet-161
    """

    def __init__(self, growth_rate: int, block_layers: tuple[int, ...]) -> None:
        super().__init__()
        channels = STEM * growth_rate
        self.stem = nn.Sequential(
            nn.Conv2d(3, channels, 7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        self.blocks = nn.ModuleList()
        self.transitions = nn.ModuleList()
        for number, layers in enumerate(block_layers):
            if number > 0:
                self.transitions.append(_transition(channels))
                channels //= 2
            self.blocks.append(
                nn.Sequential(*(DenseLayer(channels + i * growth_rate, growth_rate) for i in range(layers)))
            )
            channels += layers * growth_rate
        self.norm = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
        self.channels = channels
        start_convolutions(self)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) → (B, channels, h, w)."""
        x = self.blocks[0](self.stem(x))  # (B, 384, H/4, W/4) in DenseNet-161
        for transition, block in zip(self.transitions, self.blocks[1:], strict=True):
            x = block(transition(x))  # (B, 768, H/8, W/8), (B, 2112, H/16, W/16), (B, 2208, H/32, W/32)
        return self.norm(x)


class DenseNetAverage(ClipNetwork):
    """Score each frame with a DenseNet and average. The order of the frames does not matter.

    Raises UserError if images are too small for the network.
    """

    Config = DenseNetConfig
    source = Source(
        citation="Huang G. et al. 2017, CVPR; averaged over frames, for Liu C. et al. 2018, ICMI",
        parameters=27,
        gaps="how frames become one prediction; recipe",
    )
    parts = MappingProxyType(
        {
            "backbone": "DenseNet, frame by frame",
            "head": "linear classifier of a frame, averaged over the clip",
        }
    )

    def __init__(self, config: DenseNetConfig, task: Task) -> None:
        super().__init__(task)
        smallest = smallest_image(len(config.block_layers))
        if task.image_size < smallest:
            blocks = len(config.block_layers)
            raise UserError(
                f"--image-size {task.image_size}: DenseNet with {blocks} blocks needs at least {smallest}"
            )
        self.backbone = DenseNet(config.growth_rate, config.block_layers)
        self.head = nn.Linear(self.backbone.channels, task.classes)
        self.average = config.average

    def forward(self, given: NetworkInput) -> Scores:
        vectors = frame_vectors(self.backbone, given.frames)  # (B, N, 2208)
        return Scores(averaged(self.head(vectors), self.average))  # (B, classes)


def smallest_image(blocks: int) -> int:
    """The side of the smallest image, in pixels, from which the last of `blocks` blocks still gets a map."""
    side = 2 ** (blocks - 1)  # after the stem; each transition halves it and drops a remainder
    for _ in range(2):
        side = 2 * side - 1  # the stem's convolution and its pooling halve and round up
    return side


def _transition(channels: int) -> nn.Module:
    return nn.Sequential(
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
        nn.Conv2d(channels, channels // 2, 1, bias=False),
        nn.AvgPool2d(2),
    )
