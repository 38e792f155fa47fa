"""P3D, a ResNet of bottlenecks whose 3×3×3 convolution is one in space and one in time (Qiu et al. 2017, ICCV).

The three ways to join the two alternate from block to block: A in a row, B in parallel, C in a row with a shortcut.
Input in the paper: 16 frames of 160 px.

The 98 M of tables are megabytes, not millions of parameters: Table 1 of the paper gives 98 MB for the P3D ResNet made
from ResNet-50, which is P3D-63 with 25 M parameters of 4 bytes. So the default is P3D-63. P3D-199, made from
ResNet-152, is the paper's 261 MB with 66 M parameters (`layers = 199`).

Open in the paper, taken from the authors' prototxt: only the first three stages are pseudo-3D and the last is 2D;
time is halved by pooling after the stem and before stages 2, 3 and 4; space is halved by a block's first 1×1×1
convolution; ReLU follows the sum in B and C, and only the spatial branch has one before. Of clips longer than 16
frames, the last map keeps more than one frame, and all are averaged.

The paper starts from ImageNet and freezes all batch norms but the first. Ours starts from He's normal weights
(fan-out) and trains them all.
"""

from dataclasses import dataclass
from types import MappingProxyType

from torch import Tensor, nn

from dfer.schemas.support.settings import setting
from dfer.train.models.initial_weights import start_convolutions
from dfer.train.models.interface import ClipNetwork, NetworkInput, Scores, Source, Task
from dfer.train.models.settings import NetworkSettings
from dfer.train.models.volumes.blocks import NormedConv3d, as_volume

EXPANSION = 4
BLOCKS = {"63": (3, 4, 6, 3), "131": (3, 4, 23, 3), "199": (3, 8, 36, 3)}
KINDS = "ABC"
POINT = (1, 1, 1)
SPACE = (1, 3, 3)
TIME = (3, 1, 1)


@dataclass(frozen=True, kw_only=True)
class P3DConfig(NetworkSettings):
    """Settings of P3D."""

    layers: str = setting("63", "layers, made from ResNet-50, 101 or 152", choices=tuple(BLOCKS))
    width: int = setting(64, "channels of the first convolution", low=1, high=4096)
    dropout: float = setting(0.5, "dropout before the classifier", low=0, high=0.99)


class Bottleneck(nn.Module):
    """A residual block: 1×1×1, a convolution in space and one in time, 1×1×1.

    inputs: channels that come in
    width: channels inside; four times as many come out
    stride: of height and width
    kind: `A`, `B` or `C`, how the two are joined; empty for a block without the one in time
    """

    def __init__(self, inputs: int, width: int, stride: int, kind: str) -> None:
        super().__init__()
        strides = (1, stride, stride)
        self.kind = kind
        self.reduce = NormedConv3d(inputs, width, POINT, strides)
        self.space = NormedConv3d(width, width, SPACE)
        self.time = NormedConv3d(width, width, TIME) if kind else None
        self.expand = NormedConv3d(width, EXPANSION * width, POINT)
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != EXPANSION * width:
            self.shortcut = NormedConv3d(inputs, EXPANSION * width, POINT, strides)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) → (B, 4 · width, T, H', W')."""
        inner = self._joined(self.relu(self.reduce(x)))
        return self.relu(self.expand(inner) + self.shortcut(x))

    def _joined(self, x: Tensor) -> Tensor:
        spatial = self.relu(self.space(x))
        if self.time is None:
            return spatial
        if self.kind == "A":
            return self.relu(self.time(spatial))
        return self.relu(spatial + self.time(x if self.kind == "B" else spatial))


class P3D(ClipNetwork):
    """A stem, four stages of bottlenecks with time halved between them, the mean, a classifier."""

    Config = P3DConfig
    source = Source(citation="Qiu et al. 2017, ICCV")
    takes_stills = False
    parts = MappingProxyType(
        {
            "stem": "1×7×7 convolution and pooling",
            "stages.0": "stage 1, pseudo-3D",
            "stages.1": "stage 2, pseudo-3D",
            "stages.2": "stage 3, pseudo-3D",
            "stages.3": "stage 4, 2D",
            "head": "classifier",
        }
    )

    def __init__(self, config: P3DConfig, task: Task) -> None:
        super().__init__(task)
        self.stem = nn.Sequential(
            NormedConv3d(3, config.width, (1, 7, 7), (1, 2, 2)),
            nn.ReLU(inplace=True),
            nn.MaxPool3d((2, 3, 3), 2, ceil_mode=True),
        )
        self.stages = nn.ModuleList()
        inputs, before = config.width, 0
        for number, blocks in enumerate(BLOCKS[config.layers]):
            width = config.width * 2**number
            stage = []
            for index in range(blocks):
                kind = KINDS[(before + index) % len(KINDS)] if number < 3 else ""
                stage.append(Bottleneck(inputs, width, 2 if number and not index else 1, kind))
                inputs = EXPANSION * width
            self.stages.append(nn.Sequential(*stage))
            before += blocks
        self.halve = nn.MaxPool3d((2, 1, 1), (2, 1, 1), ceil_mode=True)  # of time
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(inputs, task.classes)
        start_convolutions(self)

    def forward(self, given: NetworkInput) -> Scores:
        """Score a batch of clips."""
        x = self.maps(given.frames)[-1].mean((2, 3, 4))  # (B, 2048)
        return Scores(clip=self.head(self.dropout(x)))

    def maps(self, frames: Tensor) -> list[Tensor]:
        """The maps after the stem and the four stages: (B, N, 3, H, W) → five of (B, C, T, H', W')."""
        maps = [self.stem(as_volume(frames))]  # (B, 64, 8, 40, 40)
        for number, stage in enumerate(self.stages):
            maps.append(stage(maps[-1] if number == 0 else self.halve(maps[-1])))
        return maps
