"""The whole network: frames and key-points in, class scores out (Eqs. 1–12)."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from dfer.train.config import NetworkConfig
from dfer.train.models.keypoint.backbone import CHANNELS, ResNet18
from dfer.train.models.keypoint.expression_scores import ExpressionScores
from dfer.train.models.keypoint.heatmaps import features_under, gaussian_maps
from dfer.train.models.keypoint.keypoint_graph import KeypointGraph
from dfer.train.models.keypoint.region_fusion import FUSIONS
from dfer.train.models.keypoint.temporal import TemporalLstm, TemporalTransformer
from dfer.train.models.keypoint.triplet_attention import TripletAttention


class Scores(NamedTuple):
    """clip: (B, classes), what predicts. frames: (B, classes) from the mean over frames, for the loss only;
    None where there is no temporal part, since both would be the same."""

    clip: Tensor
    frames: Tensor | None


class KeypointFeatures(nn.Module):
    """A map and key-points to local vectors under Gaussian maps, and the global mean (Eq. 2)."""

    def __init__(self, sigma: float, scale: str) -> None:
        super().__init__()
        self.sigma, self.scale = sigma, scale

    def forward(self, features: Tensor, keypoints: Tensor) -> tuple[Tensor, Tensor]:
        """features (B, C, h, w), keypoints (B, K, 2) normalised → (B, K, C), (B, C)."""
        maps = gaussian_maps(keypoints, *features.shape[2:], self.sigma, self.scale)  # (B, K, h, w)
        return features_under(maps.to(features.dtype), features), features.mean((2, 3))


class DferNetwork(nn.Module):
    """The network for a number of classes; `config` chooses between the paper's parts and their ablations."""

    def __init__(self, config: NetworkConfig, classes: int, num_frames: int) -> None:
        super().__init__()
        self.classes = classes
        self.backbone = ResNet18(config.stage_strides)
        self.attention = TripletAttention()
        self.keypoint_features = KeypointFeatures(config.heatmap_sigma, config.heatmap_scale)
        self.graph = None if config.graph == "none" else KeypointGraph(message=config.graph == "messages")
        self.fusion = FUSIONS[config.fusion](self.graph.outputs if self.graph else CHANNELS)
        width = self.fusion.outputs
        self.expressions = ExpressionScores(width) if config.expression_scores == "on" else None
        self.temporal = _temporal(config, width, num_frames)
        self.clip_head = nn.Linear(width, classes)
        self.frame_head = nn.Linear(width, classes) if self.temporal else None

    def forward(
        self, frames: Tensor, keypoints: Tensor, expressions: Tensor | None = None, mix: float = 1.0
    ) -> Scores:
        """frames (B, N, 3, H, W) normalised, keypoints (B, N, K, 2) normalised to the crop.

        expressions: (B, N, 52), where the network takes expression scores (`ExpressionScores`).

        mix: the share of each clip's own frame vectors; the rest are those of the clip before it (mixup between
        hidden vectors, Verma et al. 2019: two faces in one picture would have no key-points).
        """
        fused = self.fuse(frames.flatten(0, 1), keypoints.flatten(0, 1))  # (B·N, R)
        fused = fused.unflatten(0, frames.shape[:2])  # (B, N, R)
        if self.expressions is not None:
            fused = fused + self.expressions(expressions)
        if mix < 1:
            fused = mix * fused + (1 - mix) * fused.roll(1, 0)
        mean = fused.mean(1)
        if self.temporal is None:
            return Scores(self.clip_head(mean), None)
        return Scores(self.clip_head(self.temporal(fused)), self.frame_head(mean))

    def fuse(self, images: Tensor, keypoints: Tensor) -> Tensor:
        """The spatial part, frame by frame: images (B, 3, H, W), keypoints (B, K, 2) → (B, R)."""
        features = self.attention(self.backbone(images))  # (B, C, h, w)
        local, whole = self.keypoint_features(features, keypoints)  # (B, K, C), (B, C)
        if self.graph is not None:
            local, whole = self.graph(local, whole)  # (B, K, 128), (B, 128)
        return self.fusion(local, whole)


def build(config: NetworkConfig, classes: int, num_frames: int, seed: int) -> DferNetwork:
    """A network whose start depends on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return DferNetwork(config, classes, num_frames)


def _temporal(config: NetworkConfig, width: int, num_frames: int) -> nn.Module | None:
    if config.temporal == "transformer":
        return TemporalTransformer(
            width, num_frames, config.depth, config.heads, config.head_dim, config.mlp_width
        )
    return TemporalLstm(width) if config.temporal == "lstm" else None
