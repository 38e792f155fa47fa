"""The settings of the paper's network. No torch here: they are the flags of the command line."""

import dataclasses
from dataclasses import dataclass

from dfer.schemas.support.errors import UserError
from dfer.schemas.support.settings import setting
from dfer.train.models.settings import NetworkSettings


@dataclass(frozen=True, kw_only=True)
class KeypointSettings(NetworkSettings):
    """The parts of the network. The defaults are the preset `paper`."""

    stage_strides: tuple[int, ...] = setting(
        (1, 2, 1, 1), "strides of ResNet-18's four stages", low=1, high=2
    )
    stage_widths: tuple[int, ...] = setting(
        (64, 128, 256, 512), "channels of ResNet-18's four stages", low=1, high=4096
    )
    heatmap_sigma: float = setting(
        0.1, "sigma of the key-point maps, as a fraction of the crop's side", low=0.001, high=10
    )
    heatmap_scale: str = setting(
        "mean", "scale key-point maps to a mean or a peak of 1", choices=("mean", "peak")
    )
    graph: str = setting(
        "messages", "key-point graph; `layer`: its linear layer only", choices=("messages", "layer", "none")
    )
    adjacency: str = setting(
        "mean", "messages of the key-point graph: mean or sum over the neighbours", choices=("mean", "sum")
    )
    fusion: str = setting(
        "structure",
        "how a frame's vectors are fused; `global`: the global vector only (needs --graph layer or none)",
        choices=("structure", "mean", "lstm", "global"),
    )
    expression_scores: str = setting(
        "off",
        "add MediaPipe's expression scores to the frame vectors; `auto`: if the cache has them",
        choices=("off", "auto", "on"),
    )
    geometry: str = setting(
        "off",
        "add the 68 points, and the expression scores unless they are `off`, to frame vectors and class scores",
        choices=("off", "on"),
    )
    landmark_weight: float = setting(
        0.0,
        "share of the landmark regression in the predicted log probabilities; 0: off",
        low=0,
        high=1,
    )
    mask_missing: bool = setting(False, "leave frames without a detected face out of the temporal part")
    temporal: str = setting(
        "transformer", "how the frames of a clip are combined", choices=("transformer", "lstm", "mean")
    )
    depth: int = setting(3, "transformer blocks", low=1, high=100)
    heads: int = setting(8, "attention heads", low=1, high=100)
    head_dim: int = setting(64, "size of an attention head", low=1, high=4096)
    mlp_width: int = setting(768, "hidden units of the transformer's MLP", low=1, high=65536)
    frame_weight: float = setting(
        0.2, "lambda, the weight of the auxiliary loss on the mean of frames", low=0, high=1
    )

    @property
    def takes_landmarks(self) -> bool:
        """Whether the network takes the 68 points."""
        return self.geometry == "on" or self.landmark_weight > 0

    @property
    def takes_expressions(self) -> bool:
        """Whether the network takes MediaPipe's expression scores."""
        return self.expression_scores == "on"

    def settled(self, scores: bool) -> "KeypointSettings":
        """Replace `expression_scores = "auto"`: "on" if the cache has scores, else "off"."""
        if self.expression_scores != "auto":
            return self
        return dataclasses.replace(self, expression_scores="on" if scores else "off")

    def __post_init__(self) -> None:
        super().__post_init__()
        for flag, values in (("strides", self.stage_strides), ("widths", self.stage_widths)):
            if len(values) != 4:
                raise UserError(f"--stage-{flag} {','.join(map(str, values))}: give four numbers")
        if self.mask_missing and self.temporal == "lstm":
            raise UserError("--mask-missing needs --temporal transformer or mean; an LSTM reads every frame")
        if self.fusion == "global" and self.graph == "messages":
            raise UserError("--fusion global uses no key-points; add --graph layer or --graph none")

    def without_landmarks(self) -> "KeypointSettings":
        return dataclasses.replace(self, expression_scores="off", geometry="off", landmark_weight=0.0)
