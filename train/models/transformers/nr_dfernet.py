"""NR-DFERNet: differences between neighbouring frames added to the frames, and their mean as class token.

Li, Sui, Zhu and Zhao 2022, "NR-DFERNet: Noise-Robust Network for Dynamic Facial Expression Recognition", arXiv
2206.04975. Input there: 16 frames (two of each eighth of the clip) of 112 px. Printed: 19 M parameters.

Sizes and initial weights are those of the authors' public code (muse1998/AI-DFERNet, commit 1e0c8bb), whose parts
have the paper's names: two 3×3 convolutions as the stem, stages of one block, features of 4×4×256 kept flat. Checked
against it: the same parameters, shape by shape (18 719 687 for 7 classes; it makes 4 120 more and never uses them),
and the same scores from the same weights, of clips and of snippets.

The snippet-based filter works on predictions alone. It needs a class that means neutral, in any spelling, else it
does nothing. In the code a filtered score is −1000; here it is 20 below the largest, which excludes the class as
surely and keeps losses finite.

Ours: frames are normalised with ImageNet's mean and deviation; features of pictures above 128 px are averaged to
4×4, so that the temporal transformer keeps its width.
"""

from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dfer.data_manifest.labels import meaning
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.settings import setting
from dfer.train.models.initial_weights import start_convolutions
from dfer.train.models.interface import ClipNetwork, NetworkInput, Scores, Source, Task
from dfer.train.models.resnet import BasicBlock
from dfer.train.models.settings import NetworkSettings
from dfer.train.models.transformers.former_dfer import blocks
from dfer.train.models.transformers.resnet_stages import MAP_CHANNELS, map_side

LARGEST_SIDE = 4  # of a frame's features, at 112 px in the paper
NEUTRAL = meaning("neutral")
EXCLUDED = 20.0  # how far the filter puts the neutral class below the best


@dataclass(frozen=True, kw_only=True)
class NrDferNetConfig(NetworkSettings):
    """The sizes of NR-DFERNet, and its snippet-based filter."""

    static_depth: int = setting(2, "blocks of the static branch's transformer", low=1, high=100)
    static_heads: int = setting(4, "attention heads of the static branch", low=1, high=100)
    static_head_dim: int = setting(32, "size of a head of the static branch", low=1, high=4096)
    static_mlp_width: int = setting(256, "hidden units of the static branch's MLP", low=1, high=65536)
    depth: int = setting(2, "blocks of the temporal transformer", low=1, high=100)
    heads: int = setting(4, "attention heads of the temporal transformer", low=1, high=100)
    head_dim: int = setting(32, "size of a head of the temporal transformer", low=1, high=4096)
    mlp_width: int = setting(512, "hidden units of the temporal transformer's MLP", low=1, high=65536)
    snippet_filter: bool = setting(True, "exclude neutral where a snippet is sure of another class")
    snippet_frames: int = setting(3, "differences in a snippet", low=1, high=1000)
    snippet_step: int = setting(2, "differences from one snippet to the next", low=1, high=1000)
    snippet_neutral: float = setting(
        0.03, "a snippet counts against neutral if its probability is at most this", low=0, high=1
    )
    snippet_certain: float = setting(0.75, "… and that of another class is above this", low=0, high=1)


class Stages(nn.Module):
    """Stem and three stages of one block each: (B, 3, H, W) → (B, 256, H/16, W/16)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 64, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(inplace=True),
            nn.Conv2d(64, 64, 3, padding=1, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        self.layer1 = BasicBlock(64, 64, 1)
        self.layer2 = BasicBlock(64, 128, 2)
        self.layer3 = BasicBlock(128, MAP_CHANNELS, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer3(self.layer2(self.layer1(self.stem(x))))


class DynamicStaticFusion(nn.Module):
    """From the maps of N frames to N − 1 smaller maps: what changes from a frame to the next, plus what is there.

    places: of a smaller map
    """

    def __init__(self, config: NrDferNetConfig, places: int) -> None:
        super().__init__()
        c = MAP_CHANNELS
        self.dynamic = nn.Sequential(BasicBlock(c, c, 2), BasicBlock(c, c, 1), BasicBlock(c, c, 1))
        self.patches = nn.Sequential(
            nn.Conv2d(c, c, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(c), nn.ReLU(inplace=True)
        )
        self.positions = nn.Parameter(torch.randn(1, places, c))
        self.static = blocks(
            config.static_depth, c, config.static_heads, config.static_head_dim, config.static_mlp_width
        )

    def forward(self, maps: Tensor) -> Tensor:
        """(B, N, 256, h, w) → (B, N − 1, 256, h/2, w/2)."""
        earlier = maps[:, :-1]  # (B, N − 1, 256, h, w)
        changes = self.dynamic((maps[:, 1:] - earlier).flatten(0, 1))  # (B·(N − 1), 256, h/2, w/2)
        tokens = self.patches(earlier.flatten(0, 1)).flatten(2).transpose(1, 2)  # (B·(N − 1), places, 256)
        looks = self.static(tokens + self.positions).transpose(1, 2)  # (B·(N − 1), 256, places)
        return (changes + looks.reshape(changes.shape)).unflatten(0, earlier.shape[:2])


class TemporalTransformer(nn.Module):
    """From T vectors to that of the class token, which starts as their mean ("dynamic class token").

    width: R
    length: the largest T
    """

    def __init__(self, config: NrDferNetConfig, width: int, length: int) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.randn(1, length + 1, width))
        self.blocks = blocks(config.depth, width, config.heads, config.head_dim, config.mlp_width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, R) → (B, R)."""
        x = torch.cat([x.mean(1, keepdim=True), x], dim=1)  # (B, T + 1, R)
        return self.blocks(x + self.positions[:, : x.shape[1]])[:, 0]  # (B, R)


class NrDferNet(ClipNetwork):
    """NR-DFERNet (Li et al. 2022). Raises UserError if clips have one frame."""

    Config = NrDferNetConfig
    source = Source(citation="Li et al. 2022, arXiv 2206.04975", parameters=19)
    takes_stills = False
    parts = MappingProxyType(
        {
            "stages": "stem and three stages of one residual block",
            "fusion": "dynamic-static fusion: differences of frames, and a transformer over their places",
            "temporal": "transformer over the differences, with their mean as class token",
            "head": "linear layer to the classes",
        }
    )

    def __init__(self, config: NrDferNetConfig, task: Task) -> None:
        super().__init__(task)
        if task.num_frames < 2:
            raise UserError(f"--num-frames {task.num_frames}: NR-DFERNet needs at least 2")
        self.config = config
        found = (number for number, label in enumerate(task.labels) if meaning(label) == NEUTRAL)
        self.neutral = next(found, None) if config.snippet_filter else None  # number of the class
        side = map_side(task.image_size, 32)
        self.side = min(side, LARGEST_SIDE)
        width = MAP_CHANNELS * self.side**2
        self.stages = Stages()
        self.fusion = DynamicStaticFusion(config, places=side**2)
        self.temporal = TemporalTransformer(config, width, task.num_frames - 1)
        self.head = nn.Linear(width, task.classes)
        start_convolutions(self)

    def forward(self, given: NetworkInput) -> Scores:
        maps = self.stages(given.frames.flatten(0, 1))  # (B·N, 256, H/16, W/16)
        fused = self.fusion(maps.unflatten(0, given.frames.shape[:2]))  # (B, N − 1, 256, H/32, W/32)
        if fused.shape[3] > self.side:
            fused = F.adaptive_avg_pool3d(fused.transpose(1, 2), (None, self.side, self.side)).transpose(1, 2)
        x = fused.flatten(2)  # (B, N − 1, R)
        scores = self.head(self.temporal(x))  # (B, classes)
        if self.neutral is None or self.training:
            return Scores(clip=scores)
        return Scores(clip=self.filtered(scores, self.head(self.temporal(self.snippets(x)))))

    def snippets(self, x: Tensor) -> Tensor:
        """Cut the vectors of the differences into overlapping snippets: (B, N − 1, R) → (B·snippets, T, R)."""
        length = min(self.config.snippet_frames, x.shape[1])
        return x.unfold(1, length, self.config.snippet_step).transpose(2, 3).flatten(0, 1)

    def filtered(self, scores: Tensor, of_snippets: Tensor) -> Tensor:
        """Exclude neutral where a snippet is sure of another class.

        scores: (B, classes) logits of the clips
        of_snippets: (B·snippets, classes) logits

        Returns (B, classes).
        """
        shares = of_snippets.softmax(1).unflatten(0, (scores.shape[0], -1))  # (B, snippets, classes)
        neutral = shares[:, :, self.neutral]  # (B, snippets)
        sure = (neutral <= self.config.snippet_neutral) & (shares.amax(2) > self.config.snippet_certain)
        excluded = torch.zeros_like(scores, dtype=torch.bool)
        excluded[:, self.neutral] = sure.any(1)
        return torch.where(excluded, scores.amax(1, keepdim=True) - EXCLUDED, scores)
