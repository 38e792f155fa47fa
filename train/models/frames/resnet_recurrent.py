"""ResNet-18 on each frame, then an LSTM or a GRU over the frames.

ResNet-18 + LSTM and ResNet-18 + GRU are baselines of Zhao and Liu 2021 (Former-DFER, ACM MM; 16 frames of 112
px), whose figures for DFEW and AFEW the later tables repeat. ResNet-18 + LSTM is also one of Jiang et al.
2020 (DFEW, ACM MM), Wang Y. et al. 2022 (FERV39k, CVPR) and Liu Y. et al. 2022 (MAFW, ACM MM).

Left open: the recurrent layer's size. MAFW prints none, the other three papers could not be read here. This
is one layer of 512 units whose last output is classified, 13.3 M parameters with an LSTM and 7 classes.
FERV39k's page prints 27 M for a network of two such streams, which is twice 13.3 M; the 132 M that it prints
for one stream cannot be right. DFEW's public code has another layout: three layers of 256 units and a linear
layer over the outputs at all frames, here `layers = 3`, `units = 256`, `readout = "frames"`. Its ResNet has
the bottleneck blocks of deeper ones; ours has ResNet-18's.

Weights start at random.
"""

from dataclasses import dataclass
from types import MappingProxyType

from torch import nn

from dfer.schemas.support.settings import setting
from dfer.train.models.frames.frame_vectors import frame_vectors
from dfer.train.models.interface import ClipNetwork, NetworkInput, Scores, Source, Task
from dfer.train.models.recurrent import CELLS, READOUTS, Recurrence
from dfer.train.models.resnet import CHANNELS, ResNet18
from dfer.train.models.settings import NetworkSettings


@dataclass(frozen=True, kw_only=True)
class ResNetRecurrentConfig(NetworkSettings):
    """The recurrent part."""

    cell: str = setting("lstm", "recurrent cell", choices=tuple(CELLS))
    units: int = setting(512, "units of a recurrent layer", low=1, high=65536)
    layers: int = setting(1, "recurrent layers", low=1, high=100)
    readout: str = setting(
        "last", "what is classified: the output at the last frame, or at all frames", choices=READOUTS
    )


class ResNetRecurrent(ClipNetwork):
    """Turn each frame into a vector with ResNet-18 and read the vectors in order."""

    Config = ResNetRecurrentConfig
    source = Source(
        citation="baseline of Zhao and Liu 2021, ACM MM (Former-DFER)",
        gaps="size and layers of the recurrent part",
    )
    parts = MappingProxyType(
        {
            "backbone": "ResNet-18, frame by frame",
            "recurrence": "LSTM or GRU over the frames",
            "head": "linear classifier",
        }
    )

    def __init__(self, config: ResNetRecurrentConfig, task: Task) -> None:
        super().__init__(task)
        self.backbone = ResNet18()
        self.recurrence = Recurrence(
            CHANNELS, config.units, cell=config.cell, layers=config.layers, readout=config.readout
        )
        outputs = task.num_frames if config.readout == "frames" else 1
        self.head = nn.Linear(outputs * config.units, task.classes)

    def forward(self, given: NetworkInput) -> Scores:
        vectors = frame_vectors(self.backbone, given.frames)  # (B, N, 512)
        return Scores(self.head(self.recurrence(vectors)))  # (B, classes)
