"""ResNet-18 or ResNet-50 (He et al. 2016, CVPR) on each frame, averaged over the frames of a clip.

ResNet-18 is a frame-based baseline of MAFW (Liu Y. et al. 2022, ACM MM): five frames of 224 px, whose
predicted probabilities are fused. Both are baselines of FERV39k (Wang Y. et al. 2022, CVPR).

Left open: MAFW prints neither the optimiser nor the epochs, and not whether frames were averaged in training
too. Here they are. `average = "scores"` is the plain choice; the mean of the scores is then also the score of
the mean vector. FERV39k's paper could not be read here.

Parameters with 7 classes: 11.2 M and 23.5 M. Sun et al. 2024 (SVFAP) print 11 M for MAFW's ResNet-18.
FERV39k's page prints 17 M and 124 M, which no averaged ResNet has. It prints 57 M for ResNet-50 with an LSTM
on top, so the 124 M must be wrong.

Weights start at random, as FERV39k's page lists them; MAFW does not say.
"""

from dataclasses import dataclass
from types import MappingProxyType

from torch import nn

from dfer.schemas.support.errors import UserError
from dfer.schemas.support.settings import setting
from dfer.train.models.frames.frame_vectors import average_setting, averaged, frame_vectors
from dfer.train.models.interface import ClipNetwork, NetworkInput, Scores, Source, Task
from dfer.train.models.resnet import ResNet18, ResNet50
from dfer.train.models.settings import NetworkSettings

DEPTHS = {18: ResNet18, 50: ResNet50}


@dataclass(frozen=True, kw_only=True)
class ResNetAverageConfig(NetworkSettings):
    """Which ResNet, and what is averaged."""

    depth: int = setting(18, "layers of the ResNet, 18 or 50", low=18, high=50)
    average: str = average_setting()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.depth not in DEPTHS:
            raise UserError(f"--depth {self.depth}: must be 18 or 50")


class ResNetAverage(ClipNetwork):
    """Score each frame with a ResNet and average. The order of the frames does not matter."""

    Config = ResNetAverageConfig
    source = Source(
        citation="He et al. 2016, CVPR; averaged over frames as in Liu Y. et al. 2022, ACM MM (MAFW)",
        gaps="optimiser and epochs; whether frames were averaged in training",
    )
    parts = MappingProxyType(
        {"backbone": "ResNet, frame by frame", "head": "linear classifier of a frame, averaged over the clip"}
    )

    def __init__(self, config: ResNetAverageConfig, task: Task) -> None:
        super().__init__(task)
        self.backbone = DEPTHS[config.depth]()
        self.head = nn.Linear(self.backbone.outputs, task.classes)
        self.average = config.average

    def forward(self, given: NetworkInput) -> Scores:
        vectors = frame_vectors(self.backbone, given.frames)  # (B, N, 512 or 2048)
        return Scores(averaged(self.head(vectors), self.average))  # (B, classes)
