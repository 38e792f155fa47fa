"""The complete network: frames and key-points in, class scores out (Eqs. 1–12)."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from dfer.schemas.keypoints import KeypointSet
from dfer.train.config import NetworkConfig
from dfer.train.models.keypoint.backbone import CHANNELS, ResNet18
from dfer.train.models.keypoint.expression_scores import ExpressionScores
from dfer.train.models.keypoint.geometry import FaceFeatures, GeometryBranch, RegressionScores
from dfer.train.models.keypoint.heatmaps import features_under, gaussian_maps
from dfer.train.models.keypoint.keypoint_graph import KeypointGraph
from dfer.train.models.keypoint.region_fusion import make_fusion
from dfer.train.models.keypoint.temporal import TemporalLstm, TemporalTransformer, masked_mean
from dfer.train.models.keypoint.triplet_attention import TripletAttention


class Scores(NamedTuple):
    """clip: (B, classes) logits, the prediction. frames: (B, classes) logits from the mean over frames (Eq. 5), for
    the loss only; None without a temporal part, since both would be the same."""

    clip: Tensor
    frames: Tensor | None


class KeypointFeatures(nn.Module):
    """Local vectors under the Gaussian maps, and the global mean (Eq. 2). sigma, scale: as in `gaussian_maps`."""

    def __init__(self, sigma: float, scale: str) -> None:
        super().__init__()
        self.sigma, self.scale = sigma, scale

    def forward(self, features: Tensor, keypoints: Tensor) -> tuple[Tensor, Tensor]:
        """features (B, C, h, w), keypoints (B, K, 2) normalised → (B, K, C), (B, C)."""
        maps = gaussian_maps(keypoints, *features.shape[2:], self.sigma, self.scale)  # (B, K, h, w)
        return features_under(maps.to(features.dtype), features), features.mean((2, 3))


class DferNetwork(nn.Module):
    """The paper's network, or an ablation of it.

    config: which parts it has
    classes: number of classes
    num_frames: N, frames of a clip
    keypoints: the set that the clips' key-points are of
    """

    def __init__(self, config: NetworkConfig, classes: int, num_frames: int, keypoints: KeypointSet) -> None:
        super().__init__()
        self.classes, self.keypoints = classes, keypoints
        self.backbone = ResNet18(config.stage_strides)
        self.attention = TripletAttention()
        self.keypoint_features = KeypointFeatures(config.heatmap_sigma, config.heatmap_scale)
        self.graph = _graph(config, keypoints)
        self.fusion = make_fusion(config.fusion, keypoints, self.graph.outputs if self.graph else CHANNELS)
        width = self.fusion.outputs  # R
        self.mask_missing = config.mask_missing
        self.expressions = self.face_features = self.geometry = self.regression = None
        if config.takes_landmarks:
            self.face_features = FaceFeatures(config.takes_expressions)
        if config.geometry == "on":
            self.geometry = GeometryBranch(self.face_features.count, width, classes)
        elif config.takes_expressions:
            self.expressions = ExpressionScores(width)
        if config.landmark_weight:
            self.regression = RegressionScores(self.face_features.count, classes, config.landmark_weight)
        self.temporal = _temporal(config, width, num_frames)
        self.clip_head = nn.Linear(width, classes)
        self.frame_head = nn.Linear(width, classes) if self.temporal else None
        # (classes,) added to the scores when predicting, if the recipe adjusts them; saved with the weights
        self.register_buffer("class_shift", None)

    def forward(
        self,
        frames: Tensor,
        keypoints: Tensor,
        *,
        detected: Tensor | None = None,
        landmarks: Tensor | None = None,
        expressions: Tensor | None = None,
        mix: float = 1.0,
    ) -> Scores:
        """Score a batch of clips.

        frames: (B, N, 3, H, W) normalised
        keypoints: (B, N, K, 2) normalised to the window
        detected: (B, N) bool, whether the frame's face was found; needed with landmarks and with masks
        landmarks: (B, N, 68, 2) divided by the stored crop's side, where the network takes them
        expressions: (B, N, 52) in 0–1, NaN where no face was found, where the network takes expression scores
        mix: share of each clip's own frame vectors; the rest comes from the previous clip of the batch. Mixup of
            hidden vectors (Verma et al. 2019), since a blend of two faces has no key-points
        """
        fused = self.fuse(frames.flatten(0, 1), keypoints.flatten(0, 1))  # (B·N, R)
        fused = fused.unflatten(0, frames.shape[:2])  # (B, N, R)
        if self.expressions is not None:
            fused = fused + self.expressions(expressions)  # (B, N, R)
        features = None
        if self.face_features is not None:
            features = self.face_features(landmarks, expressions, detected)  # (B, N, F)
            if self.geometry is not None:
                fused = fused + self.geometry.fc(features)  # (B, N, R)
            features = _blend(masked_mean(features, detected), mix)  # (B, F)
        fused = _blend(fused, mix)  # (B, N, R)
        attended = detected if self.mask_missing else None
        mean = masked_mean(fused, attended)  # (B, R)
        clip = self.clip_head(
            mean if self.temporal is None else self.temporal(fused, attended)
        )  # (B, classes)
        if self.geometry is not None:
            clip = clip + self.geometry.head(features)  # (B, classes)
        if self.regression is not None and not self.training:
            clip = self.regression(clip, features)  # (B, classes)
        if self.class_shift is not None and not self.training:
            clip = clip + self.class_shift  # (B, classes)
        return Scores(clip, None if self.frame_head is None else self.frame_head(mean))

    def fuse(self, images: Tensor, keypoints: Tensor) -> Tensor:
        """The spatial part, frame by frame: images (B, 3, H, W), keypoints (B, K, 2) → (B, R)."""
        features = self.attention(self.backbone(images))  # (B, C, h, w)
        local_features, global_features = self.keypoint_features(features, keypoints)  # (B, K, C), (B, C)
        if self.graph is not None:
            local_features, global_features = self.graph(local_features, global_features)  # (B, K, D), (B, D)
        return self.fusion(local_features, global_features)


def build(
    config: NetworkConfig, classes: int, num_frames: int, seed: int, keypoints: KeypointSet
) -> DferNetwork:
    """Make a network whose initial weights depend on the seed alone. Arguments as of `DferNetwork`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return DferNetwork(config, classes, num_frames, keypoints)


def _blend(x: Tensor, mix: float) -> Tensor:
    """Mix each clip's values x (B, …) with those of the previous clip; mix: its own share."""
    return x if mix == 1 else mix * x + (1 - mix) * x.roll(1, 0)


def _graph(config: NetworkConfig, keypoints: KeypointSet) -> KeypointGraph | None:
    if config.graph == "none":
        return None
    return KeypointGraph(keypoints, adjacency=config.adjacency, message_passing=config.graph == "messages")


def _temporal(config: NetworkConfig, width: int, num_frames: int) -> nn.Module | None:
    if config.temporal == "transformer":
        return TemporalTransformer(
            width, num_frames, config.depth, config.heads, config.head_dim, config.mlp_width
        )
    return TemporalLstm(width) if config.temporal == "lstm" else None
