"""The complete network: frames and key-points in, class scores out (Eqs. 1–12)."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from dfer.schemas.keypoints import KeypointSet
from dfer.train.models.interface import Activations, ClipNetwork, NetworkInput, Scores, Source, Task
from dfer.train.models.keypoint.expression_scores import ExpressionScores
from dfer.train.models.keypoint.geometry import FaceFeatures, GeometryBranch, RegressionScores
from dfer.train.models.keypoint.heatmaps import features_under, gaussian_maps
from dfer.train.models.keypoint.keypoint_graph import KeypointGraph
from dfer.train.models.keypoint.region_fusion import make_fusion
from dfer.train.models.keypoint.settings import KeypointSettings
from dfer.train.models.keypoint.temporal import TemporalLstm, TemporalTransformer, masked_mean
from dfer.train.models.keypoint.triplet_attention import TripletAttention
from dfer.train.models.landmark_regression import fit, moments
from dfer.train.models.resnet import ResNet18


class KeypointFeatures(nn.Module):
    """Local vectors under the Gaussian maps, and the global mean (Eq. 2). sigma, scale: as in `gaussian_maps`."""

    def __init__(self, sigma: float, scale: str) -> None:
        super().__init__()
        self.sigma, self.scale = sigma, scale

    def forward(self, features: Tensor, keypoints: Tensor) -> tuple[Tensor, Tensor]:
        """features (B, C, h, w), keypoints (B, K, 2) normalised → (B, K, C), (B, C)."""
        maps = gaussian_maps(keypoints, *features.shape[2:], self.sigma, self.scale)  # (B, K, h, w)
        return features_under(maps.to(features.dtype), features), features.mean((2, 3))


class KeypointNetwork(ClipNetwork):
    """The paper's network, or an ablation of it."""

    Config = KeypointSettings
    source = Source(
        citation="Huang et al. 2024, Engineering Applications of Artificial Intelligence 133", parameters=17
    )
    parts = MappingProxyType(
        {
            "backbone.conv1 + backbone.bn1": "stem: 7×7 convolution",
            "backbone.layer1": "ResNet-18 stage 1",
            "backbone.layer2": "ResNet-18 stage 2",
            "backbone.layer3": "ResNet-18 stage 3",
            "backbone.layer4": "ResNet-18 stage 4",
            "attention": "triplet attention",
            "keypoint_features": "key-point maps, global mean",
            "graph": "key-point graph",
            "fusion": "fusion of a frame's vectors",
            "expressions": "expression scores",
            "geometry.fc": "points and scores, to the frame's vector",
            "geometry.head": "points and scores, to the class scores",
            "temporal": "temporal part",
            "clip_head": "classifier",
            "frame_head": "auxiliary classifier",
        }
    )
    heads = ("clip_head.", "frame_head.", "geometry.head.")
    fitted = ("face_features.", "regression.")
    frame_positions = "temporal.positions"
    mixes_hidden = True

    @classmethod
    def source_of(cls, config: KeypointSettings) -> Source:
        """Names the parts that are not the paper's."""
        ours = {
            "expression scores": config.expression_scores != "off",
            "geometry": config.geometry != "off",
            "landmark regression": config.landmark_weight > 0,
        }
        added = [name for name, there in ours.items() if there]
        if not added:
            return cls.source
        return Source(citation=f"{cls.source.citation}, with {', '.join(added)} added here")

    def __init__(self, config: KeypointSettings, task: Task) -> None:
        super().__init__(task)
        self.config = config
        self.backbone = ResNet18(config.stage_strides, config.stage_widths)
        self.attention = TripletAttention()
        self.keypoint_features = KeypointFeatures(config.heatmap_sigma, config.heatmap_scale)
        self.graph = _graph(config, task.keypoints, self.backbone.outputs)
        self.fusion = make_fusion(
            config.fusion, task.keypoints, self.graph.outputs if self.graph else self.backbone.outputs
        )
        width = self.fusion.outputs  # R
        self.expressions = self.face_features = self.geometry = self.regression = None
        if config.takes_landmarks:
            self.face_features = FaceFeatures(config.takes_expressions)
        if config.geometry == "on":
            self.geometry = GeometryBranch(self.face_features.count, width, task.classes)
        elif config.takes_expressions:
            self.expressions = ExpressionScores(width)
        if config.landmark_weight:
            self.regression = RegressionScores(self.face_features.count, task.classes, config.landmark_weight)
        self.temporal = _temporal(config, width, task.num_frames)
        self.clip_head = nn.Linear(width, task.classes)
        self.frame_head = nn.Linear(width, task.classes) if self.temporal else None

    @property
    def loss_weights(self) -> Mapping[str, float]:
        """Eq. 13: λ for the class scores from the mean over frames (Eq. 5), 1 − λ for the clip's."""
        share = self.config.frame_weight
        # Without a temporal part both would be the same.
        return {"clip": 1.0} if self.frame_head is None else {"clip": 1 - share, "frames": share}

    def prepare(self, features: np.ndarray, labels: np.ndarray) -> None:
        """Set the moments of the landmark features, and the regression."""
        features = features[
            :, -self.face_features.count :
        ]  # without the scores, which come first, if it takes none
        for buffer, values in zip(
            (self.face_features.mean, self.face_features.deviation), moments(features), strict=True
        ):
            buffer.copy_(torch.from_numpy(values))
        if self.regression is not None:
            regression = fit(features, labels, self.classes)
            self.regression.weights.copy_(torch.from_numpy(regression.weights))
            self.regression.bias.copy_(torch.from_numpy(regression.bias))

    def forward(self, given: NetworkInput) -> Scores:
        """Score a batch of clips.

        Mixup of hidden vectors (Verma et al. 2019), since a blend of two faces has no key-points.
        """
        return self.scores_of_frames(self.frame_vectors(given), given.detected, given.mix)

    def frame_vectors(self, given: NetworkInput) -> tuple[Tensor, ...]:
        """The fused vector of each frame (B, N, R), and its landmark features (B, N, F) if the settings take them."""
        fused = self.fuse(given.frames.flatten(0, 1), given.keypoints.flatten(0, 1))  # (B·N, R)
        fused = fused.unflatten(0, given.frames.shape[:2])  # (B, N, R)
        if self.expressions is not None:
            fused = fused + self.expressions(given.expressions)  # (B, N, R)
        if self.face_features is None:
            return (fused,)
        features = self.face_features(given.landmarks, given.expressions, given.detected)  # (B, N, F)
        if self.geometry is not None:
            fused = fused + self.geometry.fc(features)  # (B, N, R)
        return fused, features

    def scores_of_frames(self, vectors: tuple[Tensor, ...], detected: Tensor, mix: float = 1.0) -> Scores:
        """The temporal part and the classifiers."""
        fused = _blend(vectors[0], mix)  # (B, N, R)
        features = None if len(vectors) == 1 else _blend(masked_mean(vectors[1], detected), mix)  # (B, F)
        attended = detected if self.config.mask_missing else None
        mean = masked_mean(fused, attended)  # (B, R)
        clip = self.clip_head(
            mean if self.temporal is None else self.temporal(fused, attended)
        )  # (B, classes)
        if self.geometry is not None:
            clip = clip + self.geometry.head(features)  # (B, classes)
        if self.regression is not None and not self.training:
            clip = self.regression(clip, features)  # (B, classes)
        return Scores(clip) if self.frame_head is None else Scores(clip, {"frames": self.frame_head(mean)})

    def fuse(self, images: Tensor, keypoints: Tensor) -> Tensor:
        """The spatial part, frame by frame: images (B, 3, H, W), keypoints (B, K, 2) → (B, R)."""
        features = self.attention(self.backbone(images))  # (B, C, h, w)
        local_features, global_features = self.keypoint_features(features, keypoints)  # (B, K, C), (B, C)
        if self.graph is not None:
            local_features, global_features = self.graph(local_features, global_features)  # (B, K, D), (B, D)
        return self.fusion(local_features, global_features)

    def activations(self, given: NetworkInput) -> Activations:
        """The classifier's input, the class token's attention to the frames, and W_a of the key-points."""
        blocks: list[Tensor] = []
        gates: list[Tensor] = []
        with ExitStack() as hooks:
            if isinstance(self.temporal, TemporalTransformer):
                for block in self.temporal.blocks:
                    hooks.enter_context(
                        _on_input(block.attention, partial(_keep, blocks, block.attention.weights))
                    )
            if self.graph is not None and self.graph.relation is not None:
                hooks.enter_context(_on_input(self.graph, partial(_keep, gates, self.graph.edge_gate)))
            features = super().activations(given).features
        attention = torch.stack([_to_frames(block) for block in blocks], 1) if blocks else None
        weights = gates[0].squeeze(2).unflatten(0, given.frames.shape[:2]) if gates else None  # (B, N, K)
        return Activations(features, attention, weights)

    def keypoint_maps(self, given: NetworkInput) -> Tensor:
        """The Gaussian maps on the grid of the backbone's map, with a peak of at most 1."""
        grid = self.backbone(given.frames[0, :1]).shape[2:]  # (h, w)
        points = given.keypoints.flatten(0, 1)  # (B·N, K, 2)
        maps = gaussian_maps(points, *grid, self.config.heatmap_sigma, "peak")  # (B·N, K, h, w)
        return maps.unflatten(0, given.frames.shape[:2])


def _blend(x: Tensor, mix: float) -> Tensor:
    """Mix each clip's values x (B, …) with those of the previous clip; mix: its own share."""
    return x if mix == 1 else mix * x + (1 - mix) * x.roll(1, 0)


def _graph(config: KeypointSettings, keypoints: KeypointSet, channels: int) -> KeypointGraph | None:
    if config.graph == "none":
        return None
    messages = config.graph == "messages"
    return KeypointGraph(keypoints, channels, adjacency=config.adjacency, message_passing=messages)


def _temporal(config: KeypointSettings, width: int, num_frames: int) -> nn.Module | None:
    if config.temporal == "transformer":
        return TemporalTransformer(
            width, num_frames, config.depth, config.heads, config.head_dim, config.mlp_width
        )
    return TemporalLstm(width) if config.temporal == "lstm" else None


def _on_input(module: nn.Module, keep: Callable[..., None]) -> RemovableHandle:
    """Call `keep` with each input of a module, until the handle's context ends."""
    return module.register_forward_pre_hook(lambda _module, inputs: keep(*inputs))


def _keep(found: list[Tensor], compute: Callable[..., Tensor], *inputs: Tensor) -> None:
    found.append(compute(*inputs))


def _to_frames(weights: Tensor) -> Tensor:
    """The class token's attention (B, heads, N + 1, N + 1) → (B, N), normalised over the frames; 0 if all masked."""
    given = weights[:, :, 0, 1:].mean(1)
    return (given / given.sum(1, keepdim=True)).nan_to_num()
