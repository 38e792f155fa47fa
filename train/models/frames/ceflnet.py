"""CEFLNet (Liu Y. et al. 2022, Information Sciences, "Clip-aware expressive feature learning").

A video is cut into short clips, called snippets here, since a clip is the video elsewhere in this project.
The clip-based feature encoder turns each snippet into a vector: ResNet-18 on its frames, self-attention
between them, their maximum as a global vector, and a weight for each frame from its vector next to the global
one. The emotional intensity activation network weighs the snippets, and the maximum over the weighted
snippets is classified.

The paper could not be read here. The structure is in its abstract; all sizes are facts from its public code
(CVLab-Liuyuanyuan/CEFLNet), whose scores this network reproduces from the same weights and windows: seven
snippets of five frames of 224 px; 4 heads; dropout of 0.1 in and after attention, 0.5 before the frames'
weights and 0.4 before the last linear layer; a classifier of 512, 256, 128 and as many features as classes.
That code drops the frames that attention changed once their maximum is known, and weighs ResNet's own
vectors; so do we.

There, 75 frames in a row make seven windows of 15 with ten frames from one to the next, and each window draws
its own five frames. Here windows of five lie at even distances over the task's frames, so neighbours share
frames: with 25 frames the windows cover the same times as there. ResNet runs once on each frame. Fewer frames
make fewer or shorter windows.

Huang et al. 2024 print 13 M parameters; with 7 classes there are 12.9 M. The public code has 1 M more in a
layer that it never uses.

Weights start at random; the public code starts from a pre-trained ResNet-18.
"""

from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn

from dfer.schemas.support.errors import UserError
from dfer.schemas.support.settings import setting
from dfer.train.models.attention import Attention
from dfer.train.models.frames.frame_vectors import frame_vectors
from dfer.train.models.interface import ClipNetwork, NetworkInput, Scores, Source, Task
from dfer.train.models.resnet import CHANNELS, ResNet18
from dfer.train.models.segments import windows
from dfer.train.models.settings import NetworkSettings

ATTENTION_DROPOUT = 0.1
WEIGHT_DROPOUT = 0.5
CLASSIFIER_DROPOUT = 0.4


@dataclass(frozen=True, kw_only=True)
class CeflnetConfig(NetworkSettings):
    """How a clip is cut into snippets, and the attention between a snippet's frames."""

    snippets: int = setting(7, "windows of frames that a clip is cut into, at most", low=1, high=1000)
    snippet_frames: int = setting(5, "frames of a window, at most", low=1, high=1000)
    heads: int = setting(4, "heads of the attention between a window's frames", low=1, high=512)

    def __post_init__(self) -> None:
        super().__post_init__()
        if CHANNELS % self.heads:
            raise UserError(f"--heads {self.heads}: must divide {CHANNELS}")


class SnippetEncoder(nn.Module):
    """From the vectors of a snippet's frames to one vector (the clip-based feature encoder)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = Attention(width, heads, dropout=ATTENTION_DROPOUT)
        self.norm = nn.LayerNorm(width)
        self.weight = nn.Sequential(nn.Dropout(WEIGHT_DROPOUT), nn.Linear(2 * width, 1), nn.Sigmoid())
        self.out = nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(…, T, C), the T frames of snippets → (…, C)."""
        leading = x.shape[:-2]
        x = x.flatten(0, -3)  # (B·S, T, C)
        related = self.norm(x + self.attention(x))  # (B·S, T, C)
        overall = related.amax(1, keepdim=True)  # (B·S, 1, C): the global vector
        x = torch.cat([x, overall.expand_as(x)], dim=2)  # (B·S, T, 2C): local and global
        weights = self.weight(x)  # (B·S, T, 1)
        mean = (x * weights).sum(1) / weights.sum(1)  # (B·S, 2C)
        return self.out(mean).unflatten(0, leading)  # (B, S, C)


class IntensityActivation(nn.Module):
    """Weigh the snippets by how much expression they show, and take the maximum of each feature."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.intensity = nn.Linear(width, 1, bias=False)
        # As in the public code. With one output the deviation is 1.4, so the softmax starts near one-hot.
        nn.init.kaiming_normal_(self.intensity.weight, mode="fan_out")

    def forward(self, x: Tensor) -> Tensor:
        """(B, S, C) → (B, C)."""
        return (x * self.intensity(x).softmax(1)).amax(1)


class Ceflnet(ClipNetwork):
    """Encode the snippets of a clip, weigh them, classify the maximum."""

    Config = CeflnetConfig
    source = Source(
        citation="Liu Y. et al. 2022, Information Sciences",
        parameters=13,
        gaps="the paper could not be read, only its authors' public code",
    )
    parts = MappingProxyType(
        {
            "backbone": "ResNet-18, frame by frame",
            "encoder": "clip-based feature encoder: a vector for each snippet",
            "activation": "emotional intensity activation: snippets weighed, their maximum",
            "hidden": "hidden layers of the classifier",
            "head": "its last layer",
        }
    )

    def __init__(self, config: CeflnetConfig, task: Task) -> None:
        super().__init__(task)
        self.backbone = ResNet18()
        self.encoder = SnippetEncoder(CHANNELS, config.heads)
        self.activation = IntensityActivation(CHANNELS)
        self.hidden = nn.Sequential(
            nn.Linear(CHANNELS, 256),
            nn.ReLU(),
            nn.Linear(256, 128),
            nn.ReLU(),
            nn.Dropout(CLASSIFIER_DROPOUT),
        )
        self.head = nn.Linear(128, task.classes)
        snippets = snippet_windows(task.num_frames, config.snippets, config.snippet_frames)
        self.register_buffer("windows", torch.tensor(snippets), persistent=False)  # (S, T) indices of frames

    def forward(self, given: NetworkInput) -> Scores:
        vectors = frame_vectors(self.backbone, given.frames)  # (B, N, 512)
        snippets = self.encoder(vectors[:, self.windows])  # (B, S, T, 512) → (B, S, 512)
        return Scores(self.head(self.hidden(self.activation(snippets))))  # (B, classes)


def snippet_windows(frames: int, snippets: int, snippet_frames: int) -> list[list[int]]:
    """Place snippets over a clip.

    frames: of the clip
    snippets, snippet_frames: their number and length, both at most; a short clip has fewer, none twice

    Returns the numbers of the frames of each snippet.
    """
    length = min(snippet_frames, frames)
    return windows(frames, min(snippets, frames - length + 1), length)
