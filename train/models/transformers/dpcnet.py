"""DPCNet: two paths of frames, excited by place, frame and channel, that must agree. As far as published.

Wang, Sun, Song, Gao, Huang, Chen, Ge, Zhang 2022, "DPCNet: Dual Path Multi-Excitation Collaborative Network for
Facial Expression Representation Learning in Videos", ACM Multimedia, pp. 101–110. We found no public code.

**We had the abstract and what others print about the network, not the article.** Known from the abstract: few
keyframes, four in a group, grouped by view; a spatial-frame excitation, then a channel-temporal aggregation; two
paths; a multi-frame regularisation, which makes the frames of both views alike in meaning; a dual-path
regularisation, which makes the predictions of both paths alike. Known from others: 51 M parameters (Huang et al.
2024, Table 3), 10 G multiply-adds (Sun et al., SVFAP, Table 8).

What this leaves open, and what was chosen:

- Trunk: a ResNet-50 for each path. Two have 47.0 M parameters, and 8 frames of 112 px take 8.6 G multiply-adds: the
  plainest network near both figures. With the rest we have 50.3 M and 8.6 G.
- Views: the even and the odd frames of the clip, so that both cover it; 2 × 4 frames of 112 px.
- The two excitations: in the manner of squeeze-and-excitation (Hu et al. 2018) and of ACTION-Net's two gates that fit
  the names (Wang et al. 2021): see `SpatialFrameExcitation` and `ChannelTemporalAggregation`. They stand once, after
  the trunk.
- Embedding: 512 features a path, a linear classifier a path, and the mean of both paths' scores as the prediction.
- Losses: cross-entropy of each path; 1 − cosine of each frame to the mean of the other view; the mean of both
  Kullback-Leibler divergences between the paths. Both penalties count 1.
- Initial weights: random (He normal, fan-out); the last norm of each residual block starts at zero: from ones, the
  gradient of a new network was 60 times as long, and its loss rose in the first steps.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dfer.schemas.support.settings import setting
from dfer.train.models.interface import NOTHING, ClipNetwork, NetworkInput, Scores, Source, Task
from dfer.train.models.resnet import ResNet50
from dfer.train.models.settings import NetworkSettings


@dataclass(frozen=True, kw_only=True)
class DpcnetConfig(NetworkSettings):
    """The sizes of DPCNet and the weights of its penalties."""

    width: int = setting(64, "channels of each ResNet-50's first stage", low=4, high=1024)
    embedding: int = setting(512, "features of a path's embedding", low=1, high=65536)
    reduction: int = setting(
        16, "how much the channel-temporal aggregation narrows the channels", low=1, high=128
    )
    frames_penalty: float = setting(1.0, "weight of the multi-frame regularisation", low=0, high=1000)
    paths_penalty: float = setting(1.0, "weight of the dual-path regularisation", low=0, high=1000)


class SpatialFrameExcitation(nn.Module):
    """Raise the places and frames that matter: a gate from a 3×3×3 convolution over the mean of the channels.

    The convolution is written as a linear map of windows: in bfloat16 on a CPU, torch 2.13 gets the weight gradients
    of 3D convolutions over two frames wrong.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Linear(3 * 3 * 3, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, N, C, h, w) → the same."""
        windows = F.pad(maps.mean(2), (1, 1, 1, 1, 1, 1))  # (B, N + 2, h + 2, w + 2)
        for axis in (1, 2, 3):
            windows = windows.unfold(axis, 3, 1)  # (B, N, h, w, 3, 3, 3) in the end
        gate = self.conv(windows.flatten(4)).sigmoid().squeeze(4)  # (B, N, h, w)
        return maps + maps * gate[:, :, None]  # (B, N, C, h, w)


class ChannelTemporalAggregation(nn.Module):
    """Combine the frames of a view, each channel with its weights over the frames.

    channels: C
    reduction: the weights come from C / reduction features and a convolution over three frames
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        narrow = max(1, channels // reduction)
        self.squeeze = nn.Conv1d(channels, narrow, 1)
        self.conv = nn.Conv1d(narrow, narrow, 3, padding=1)
        self.expand = nn.Conv1d(narrow, channels, 1, bias=False)  # a bias would add the same to all frames

    def forward(self, frames: Tensor) -> Tensor:
        """(B, N, C) → (B, C)."""
        frames = frames.transpose(1, 2)  # (B, C, N)
        excitation = self.expand(F.relu(self.conv(F.relu(self.squeeze(frames)))))  # (B, C, N)
        return (excitation.softmax(2) * frames).sum(2)  # (B, C)


class Path(nn.Module):
    """One path: the frames of a view to the vector of each and to the view's embedding."""

    def __init__(self, config: DpcnetConfig) -> None:
        super().__init__()
        self.trunk = ResNet50(config.width, start_as_shortcuts=True)
        self.excitation = SpatialFrameExcitation()
        self.aggregation = ChannelTemporalAggregation(self.trunk.outputs, config.reduction)
        self.embedding = nn.Sequential(nn.Linear(self.trunk.outputs, config.embedding), nn.ReLU())

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N, 3, H, W) → (B, N, 2048), (B, 512)."""
        maps = self.trunk(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])  # (B, N, 2048, h, w)
        vectors = self.excitation(maps).mean((3, 4))  # (B, N, 2048)
        return vectors, self.embedding(self.aggregation(vectors))


class Dpcnet(ClipNetwork):
    """DPCNet. It ignores which frames are real, and takes any size and any number of frames."""

    Config = DpcnetConfig
    source = Source(
        citation="Wang et al. 2022, ACM Multimedia",
        parameters=51.0,
        gaps="trunk, views, both excitations, both penalties and the recipe: only the abstract was at hand",
    )
    parts = MappingProxyType(
        {
            "first": "ResNet-50, excitations and embedding of the even frames",
            "second": "the same for the odd frames",
            "first_head": "classifier of the first path",
            "second_head": "classifier of the second path",
        }
    )
    heads = ("first_head.", "second_head.")

    def __init__(self, config: DpcnetConfig, task: Task) -> None:
        super().__init__(task)
        self.config = config
        self.first, self.second = Path(config), Path(config)
        self.first_head = nn.Linear(config.embedding, task.classes)
        self.second_head = nn.Linear(config.embedding, task.classes)

    @property
    def loss_weights(self) -> Mapping[str, float]:
        """Each path has its own cross-entropy; the mean of their scores, the prediction, has none."""
        return {
            "clip": 0.0,
            "first": 0.5,
            "second": 0.5,
            "frames": self.config.frames_penalty,
            "paths": self.config.paths_penalty,
        }

    def forward(self, given: NetworkInput) -> Scores:
        even, odd = views(given.frames)  # (B, N/2, 3, H, W) each
        one, embedding_one = self.first(even)  # (B, N/2, 2048), (B, 512)
        two, embedding_two = self.second(odd)
        first, second = self.first_head(embedding_one), self.second_head(embedding_two)  # (B, classes)
        penalties = NOTHING
        if self.training:
            penalties = {"frames": frames_apart(one, two), "paths": paths_apart(first, second)}
        return Scores((first + second) / 2, {"first": first, "second": second}, penalties)


def views(frames: Tensor) -> tuple[Tensor, Tensor]:
    """The even and the odd frames of (B, N, …); a single frame is in both."""
    return frames[:, 0::2], frames[:, 1::2] if frames.shape[1] > 1 else frames


def frames_apart(one: Tensor, two: Tensor) -> Tensor:
    """How far the frames of each view, (B, N, C), point from the mean of the other's: 1 − cosine, (B,)."""
    one, two = one.float(), two.float()
    to_two = 1 - F.cosine_similarity(one, two.mean(1, keepdim=True), dim=2).mean(1)
    to_one = 1 - F.cosine_similarity(two, one.mean(1, keepdim=True), dim=2).mean(1)
    return (to_one + to_two) / 2


def paths_apart(first: Tensor, second: Tensor) -> Tensor:
    """The mean of both Kullback-Leibler divergences between the classes' probabilities of two logits, (B,)."""
    p, q = first.float().log_softmax(1), second.float().log_softmax(1)
    return torch.sum((p.exp() - q.exp()) * (p - q), dim=1) / 2
