"""3D ResNet-18 (Hara et al. 2018, CVPR), ResNet-18 with 3×3×3 convolutions.

Input in the paper: 16 frames of 112 px. Tables print 33 M parameters, and it has 33.0 M. Table 1 gives all sizes.
Shortcuts are type A as in the paper: where the shape changes, every second value with zeros for the new channels, no
weights. A clip of any length and size works, since the last map is averaged.

Nothing that matters is open. The weights start from He's normal distribution (fan-out).
"""

from dataclasses import dataclass
from types import MappingProxyType

from torch import Tensor, nn
from torch.nn import functional as F

from dfer.schemas.support.settings import setting
from dfer.train.models.initial_weights import start_convolutions
from dfer.train.models.interface import ClipNetwork, NetworkInput, Scores, Source, Task
from dfer.train.models.settings import NetworkSettings
from dfer.train.models.volumes.blocks import NormedConv3d, as_volume

KERNEL = (3, 3, 3)


@dataclass(frozen=True, kw_only=True)
class ResNet3DConfig(NetworkSettings):
    """Settings of the 3D ResNet-18."""

    width: int = setting(64, "channels of the first convolution", low=1, high=4096)


class BasicBlock(nn.Module):
    """Two 3×3×3 convolutions and a shortcut without weights.

    stride: of time, height and width
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride, self.new_channels = stride, outputs - inputs
        self.conv1 = NormedConv3d(inputs, outputs, KERNEL, (stride,) * 3)
        self.conv2 = NormedConv3d(outputs, outputs, KERNEL)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, T, H, W) → (B, outputs, T', H', W')."""
        step = self.stride
        shortcut = F.pad(x[:, :, ::step, ::step, ::step], (0, 0) * 3 + (0, self.new_channels))
        return self.relu(self.conv2(self.relu(self.conv1(x))) + shortcut)


class ResNet3D18(ClipNetwork):
    """A stem, four stages of two blocks, the mean, a classifier."""

    Config = ResNet3DConfig
    source = Source(citation="Hara et al. 2018, CVPR", parameters=33.0)
    takes_stills = False
    parts = MappingProxyType(
        {
            "stem": "7×7×7 convolution and pooling",
            **{f"stages.{number}": f"stage {number + 1}, two blocks" for number in range(4)},
            "head": "classifier",
        }
    )

    def __init__(self, config: ResNet3DConfig, task: Task) -> None:
        super().__init__(task)
        self.stem = nn.Sequential(
            NormedConv3d(3, config.width, (7, 7, 7), (1, 2, 2)),
            nn.ReLU(inplace=True),
            nn.MaxPool3d(3, 2, padding=1),
        )
        self.stages = nn.ModuleList()
        inputs = config.width
        for number in range(4):
            width = config.width * 2**number
            stride = 1 if number == 0 else 2
            self.stages.append(nn.Sequential(BasicBlock(inputs, width, stride), BasicBlock(width, width, 1)))
            inputs = width
        self.head = nn.Linear(inputs, task.classes)
        start_convolutions(self)

    def forward(self, given: NetworkInput) -> Scores:
        """Score a batch of clips."""
        return Scores(clip=self.head(self.maps(given.frames)[-1].mean((2, 3, 4))))

    def maps(self, frames: Tensor) -> list[Tensor]:
        """The maps after the stem and the four stages: (B, N, 3, H, W) → five of (B, C, T, H', W')."""
        maps = [self.stem(as_volume(frames))]  # (B, 64, 8, 28, 28)
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return maps
