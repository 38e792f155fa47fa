"""C3D, a VGG of 3×3×3 convolutions (Tran et al. 2015, ICCV), and C3D with an LSTM (Liu Y. et al. 2022, ACM MM).

C3D takes 16 frames of 112 px and has the 78 M parameters that tables print: 27.7 M in eight convolutions, 50.3 M in
fc6 and fc7. With 487 classes it fills the 321 MB that Qiu et al. 2017 print.

Open in the paper: dropout, the padding of the last pooling, the first weights. Chosen: dropout of 0.5 after fc6 and
fc7, and pooling that rounds sizes up, so that 7×7 becomes 4×4 and fc6 has 8192 inputs, both as in the public code. Of
other sizes of clip, fc6 takes what the last pooling gives. Weights are He normal by fan-in: C3D has no norms, and by
fan-out its features would start 13 times smaller. The public code starts with a normal of 0.01 and biases of 1.

The LSTM variant is a baseline of the MAFW database, whose paper names C3D, LSTM, "all frames" and 112 px, nothing
else. Chosen: consecutive segments, of 16 frames if the clip has 64, each to its fc6 features, which are what C3D's
paper calls C3D features; one LSTM layer over the segments; its last state to the classifier.
"""

import math
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import nn

from dfer.schemas.support.settings import setting
from dfer.train.models.initial_weights import start_convolutions
from dfer.train.models.interface import ClipNetwork, NetworkInput, Scores, Source, Task
from dfer.train.models.recurrent import Recurrence
from dfer.train.models.segments import segment_frames
from dfer.train.models.settings import NetworkSettings
from dfer.train.models.volumes.blocks import as_volume

# Table of Section 3.3: widths of the convolutions before each pooling, as multiples of the first, and the pooling.
STAGES = (
    ((1,), (1, 2, 2)),
    ((2,), (2, 2, 2)),
    ((4, 4), (2, 2, 2)),
    ((8, 8), (2, 2, 2)),
    ((8, 8), (2, 2, 2)),
)


@dataclass(frozen=True, kw_only=True)
class C3DConfig(NetworkSettings):
    """Settings of C3D."""

    width: int = setting(64, "channels of the first convolution", low=1, high=4096)
    fc_width: int = setting(4096, "features of the fully connected layers", low=1, high=65536)
    dropout: float = setting(0.5, "dropout after the fully connected layers", low=0, high=0.99)


@dataclass(frozen=True, kw_only=True)
class C3DLSTMConfig(C3DConfig):
    """Settings of C3D with an LSTM."""

    segments: int = setting(4, "segments of a clip", low=1, high=1000)
    hidden: int = setting(512, "hidden units of the LSTM", low=1, high=65536)


class Convolutions(nn.Sequential):
    """Eight 3×3×3 convolutions with bias and ReLU, and five maximum poolings: (B, 3, N, H, W) → (B, C, t, h, w).

    width: channels of the first convolution; the last one has C, eight times as many
    """

    def __init__(self, width: int) -> None:
        layers: list[nn.Module] = []
        inputs = 3
        for factors, pooling in STAGES:
            for factor in factors:
                layers += [nn.Conv3d(inputs, factor * width, 3, padding=1), nn.ReLU(inplace=True)]
                inputs = factor * width
            layers.append(nn.MaxPool3d(pooling, pooling, ceil_mode=True))
        super().__init__(*layers)
        start_convolutions(self, "fan_in")


def fully_connected(inputs: int, width: int, dropout: float) -> nn.Sequential:
    """A linear layer, ReLU and dropout."""
    linear = nn.Linear(inputs, width)
    nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
    nn.init.zeros_(linear.bias)
    return nn.Sequential(linear, nn.ReLU(inplace=True), nn.Dropout(dropout))


def features_of(width: int, frames: int, image_size: int) -> int:
    """Numbers after the last pooling: a sixteenth of the frames, a 32nd of height and width, each rounded up."""
    return 8 * width * math.ceil(frames / 16) * math.ceil(image_size / 32) ** 2


class C3D(ClipNetwork):
    """Convolutions over the clip, two fully connected layers, a classifier."""

    Config = C3DConfig
    source = Source(citation="Tran et al. 2015, ICCV", parameters=78.0)
    takes_stills = False
    parts = MappingProxyType(
        {
            "convolutions": "eight 3×3×3 convolutions and five poolings",
            "fc6": "first fully connected layer",
            "fc7": "second fully connected layer",
            "head": "classifier",
        }
    )

    def __init__(self, config: C3DConfig, task: Task) -> None:
        super().__init__(task)
        self.convolutions = Convolutions(config.width)
        features = features_of(config.width, task.num_frames, task.image_size)
        self.fc6 = fully_connected(features, config.fc_width, config.dropout)
        self.fc7 = fully_connected(config.fc_width, config.fc_width, config.dropout)
        self.head = nn.Linear(config.fc_width, task.classes)

    def forward(self, given: NetworkInput) -> Scores:
        """Score a batch of clips."""
        x = self.convolutions(as_volume(given.frames))  # (B, 512, 1, 4, 4)
        x = self.fc7(self.fc6(x.flatten(1)))  # (B, 4096)
        return Scores(clip=self.head(x))


class C3DLSTM(ClipNetwork):
    """C3D's fc6 features of each segment, an LSTM over the segments, a classifier on its last state."""

    Config = C3DLSTMConfig
    source = Source(
        citation="Liu Y. et al. 2022, ACM MM",
        gaps="how C3D and LSTM are joined; the LSTM's size",
    )
    takes_stills = False
    parts = MappingProxyType(
        {
            "convolutions": "eight 3×3×3 convolutions and five poolings, of each segment",
            "fc6": "first fully connected layer",
            "lstm": "LSTM over the segments, last state",
            "head": "classifier",
        }
    )

    def __init__(self, config: C3DLSTMConfig, task: Task) -> None:
        super().__init__(task)
        segments = segment_frames(task.num_frames, config.segments)
        self.register_buffer("segments", torch.tensor(segments), persistent=False)  # (S, L)
        self.convolutions = Convolutions(config.width)
        features = features_of(config.width, len(segments[0]), task.image_size)
        self.fc6 = fully_connected(features, config.fc_width, config.dropout)
        self.lstm = Recurrence(config.fc_width, config.hidden)
        self.head = nn.Linear(config.hidden, task.classes)

    def forward(self, given: NetworkInput) -> Scores:
        """Score a batch of clips."""
        segments = given.frames[:, self.segments]  # (B, S, L, 3, H, W)
        x = self.convolutions(as_volume(segments.flatten(0, 1)))  # (B·S, 512, 1, 4, 4)
        x = self.fc6(x.flatten(1)).unflatten(0, segments.shape[:2])  # (B, S, 4096)
        return Scores(clip=self.head(self.lstm(x)))
