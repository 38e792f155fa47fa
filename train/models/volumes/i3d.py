"""I3D on RGB frames, Inception-v1 with its filters made 3D (Carreira and Zisserman 2017, CVPR).

Input in the paper: 64 frames of 224 px. It prints 25 M parameters for the two streams, RGB and flow, with 400
classes; one stream has 12.7 M with 400 classes and 12.3 M with 7.

Figure 3 gives all kernels and strides, and Inception-v1's paper the widths. Open, and taken from the authors' public
code: padding (TensorFlow's `SAME`), 3×3×3 in the place of Inception's 5×5, no bias before batch norm, dropout before
the classifier. Its share is a setting. The scores of overlapping windows of two frames are averaged, as in Figure 3.
A clip of any length and size works: a window is as high and wide as the last map.

The paper starts from an inflated ImageNet network. Ours starts from He's normal weights (fan-out).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dfer.schemas.support.settings import setting
from dfer.train.models.initial_weights import start_convolutions
from dfer.train.models.interface import ClipNetwork, NetworkInput, Scores, Source, Task
from dfer.train.models.settings import NetworkSettings
from dfer.train.models.volumes.blocks import SameMaxPool3d, as_volume, same_padding

# Widths of Inception-v1's modules (Szegedy et al. 2015, Table 1), by the number of the map's size: 1×1×1; 1×1×1 and
# 3×3×3; 1×1×1 and 3×3×3 (5×5 in Inception-v1); 1×1×1 after the pooling.
MODULES = (
    ((64, (96, 128), (16, 32), 32), (128, (128, 192), (32, 96), 64)),
    (
        (192, (96, 208), (16, 48), 64),
        (160, (112, 224), (24, 64), 64),
        (128, (128, 256), (24, 64), 64),
        (112, (144, 288), (32, 64), 64),
        (256, (160, 320), (32, 128), 128),
    ),
    ((256, (160, 320), (32, 128), 128), (384, (192, 384), (48, 128), 128)),
)
POINT = (1, 1, 1)
CUBE = (3, 3, 3)
WIDTH = 64  # channels of the first convolution, to which the setting scales all others


@dataclass(frozen=True, kw_only=True)
class I3DConfig(NetworkSettings):
    """Settings of I3D."""

    width: int = setting(64, "channels of the first convolution; all others scale with it", low=4, high=4096)
    dropout: float = setting(0.5, "dropout before the classifier", low=0, high=0.99)


class Unit(nn.Module):
    """A convolution that pads as `same_padding` does, batch norm and ReLU.

    kernel, stride: of time, height and width
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: Sequence[int], stride: Sequence[int] = POINT
    ) -> None:
        super().__init__()
        self.pads = tuple(stride) != POINT  # else the convolution pads by itself
        padding = 0 if self.pads else "same"
        self.conv = nn.Conv3d(inputs, outputs, tuple(kernel), tuple(stride), padding, bias=False)
        self.norm = nn.BatchNorm3d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) → (B, outputs, T', H', W')."""
        if self.pads:
            x = F.pad(x, same_padding(x.shape[2:], self.conv.kernel_size, self.conv.stride))
        return F.relu(self.norm(self.conv(x)))


class Inception(nn.Module):
    """Four branches side by side, their channels concatenated.

    widths: of the branches, an entry of `MODULES`
    scale: factor on the widths
    """

    def __init__(self, inputs: int, widths: tuple, scale: float) -> None:
        super().__init__()
        point, (reduce_a, cube_a), (reduce_b, cube_b), pooled = _scaled(widths, scale)
        self.outputs = point + cube_a + cube_b + pooled
        self.branches = nn.ModuleList(
            [
                Unit(inputs, point, POINT),
                nn.Sequential(Unit(inputs, reduce_a, POINT), Unit(reduce_a, cube_a, CUBE)),
                nn.Sequential(Unit(inputs, reduce_b, POINT), Unit(reduce_b, cube_b, CUBE)),
                nn.Sequential(SameMaxPool3d(CUBE, POINT), Unit(inputs, pooled, POINT)),
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) → (B, outputs, T, H, W)."""
        return torch.cat([branch(x) for branch in self.branches], 1)


class I3D(ClipNetwork):
    """A stem, nine inception modules at three sizes of map, the mean, a classifier."""

    Config = I3DConfig
    source = Source(citation="Carreira and Zisserman 2017, CVPR")
    takes_stills = False
    parts = MappingProxyType(
        {
            "stem": "three convolutions and two poolings",
            "stages.0": "two inception modules",
            "stages.1": "pooling, five inception modules",
            "stages.2": "pooling, two inception modules",
            "head": "classifier",
        }
    )

    def __init__(self, config: I3DConfig, task: Task) -> None:
        super().__init__(task)
        first, scale = config.width, config.width / WIDTH
        inputs = 3 * first
        self.stem = nn.Sequential(
            Unit(3, first, (7, 7, 7), (2, 2, 2)),
            SameMaxPool3d((1, 3, 3), (1, 2, 2)),
            Unit(first, first, POINT),
            Unit(first, inputs, CUBE),
            SameMaxPool3d((1, 3, 3), (1, 2, 2)),
        )
        poolings = (None, SameMaxPool3d(CUBE, (2, 2, 2)), SameMaxPool3d((2, 2, 2), (2, 2, 2)))
        self.stages = nn.ModuleList()
        for pooling, modules in zip(poolings, MODULES, strict=True):
            stage: list[nn.Module] = [] if pooling is None else [pooling]
            for widths in modules:
                stage.append(Inception(inputs, widths, scale))
                inputs = stage[-1].outputs
            self.stages.append(nn.Sequential(*stage))
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(inputs, task.classes)
        start_convolutions(self)

    def forward(self, given: NetworkInput) -> Scores:
        """Score a batch of clips."""
        x = self.maps(given.frames)[-1].mean((3, 4))  # (B, 1024, 8)
        x = F.avg_pool1d(x, min(2, x.shape[2]), stride=1)  # (B, 1024, 7)
        scores = self.head(self.dropout(x).transpose(1, 2))  # (B, 7, classes)
        return Scores(clip=scores.mean(1))

    def maps(self, frames: Tensor) -> list[Tensor]:
        """The maps after the stem and the three stages: (B, N, 3, H, W) → four of (B, C, T, H', W')."""
        maps = [self.stem(as_volume(frames))]  # (B, 192, 32, 28, 28)
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return maps


def _scaled(widths: tuple, scale: float) -> tuple:
    """Multiply the widths by a factor; none falls below 1."""
    return tuple(_scaled(w, scale) if isinstance(w, tuple) else max(round(w * scale), 1) for w in widths)
