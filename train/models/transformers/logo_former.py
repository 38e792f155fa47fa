"""LOGO-Former: attention inside windows of frames and places, then of every token to a summary of the clip.

Ma, Sun and Li 2023, "LOGO-Former: Local-Global Spatio-Temporal Transformer for Dynamic Facial Expression
Recognition", ICASSP. Input there: 16 frames of 112 px, 49 tokens each. Printed: 10.27 G multiply-adds and no
parameter count; ours takes 10.0 G and has 7.1 M.

As far as published, and as far as we could read: we had the abstract, not the formulas. Order and most sizes come
from a public MindSpore port (pwc-1/paper1, folder Former), which is not finished: ResNet-18 without stage 4, 4
blocks, 8 heads, MLP of 4 times the width, a summary of every 2 frames at each place by a depthwise convolution and a
norm, dropout 0.2, positions from a truncated normal of 0.02, one norm after the last block. The port's attention is
that of DualFormer (Liang et al. 2022), so the window is DualFormer's, 8×7×7; the port has 1×1×1, which mixes
nothing. The port's width is 512, which takes 20.6 G, or 10.3 G for 8 frames; 256 is near the printed cost for 16.
Open: the formula and weight of the compact loss (see compact_loss.py). Ours: pre-norm blocks, the mean of all tokens
to the classes (the port takes the first), no drop path. The backbone starts from random weights, the authors' from
MS-Celeb-1M.
"""

from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dfer.schemas.support.settings import setting
from dfer.train.models.attention import Attention, mlp
from dfer.train.models.initial_weights import start_linear
from dfer.train.models.interface import NetworkInput, Scores, Source, Task
from dfer.train.models.settings import NetworkSettings
from dfer.train.models.transformers.compact_loss import WEIGHT, CompactNetwork
from dfer.train.models.transformers.resnet_stages import map_side
from dfer.train.models.transformers.video_tokens import Positions, VideoTokens, head_size


@dataclass(frozen=True, kw_only=True)
class LogoFormerConfig(NetworkSettings):
    """The sizes of LOGO-Former and the weight of its loss."""

    width: int = setting(256, "features of a token", low=1, high=4096)
    depth: int = setting(4, "transformer blocks", low=1, high=100)
    heads: int = setting(8, "attention heads; the width is a multiple of them", low=1, high=100)
    mlp_width: int = setting(1024, "hidden units of the transformer's MLP", low=1, high=65536)
    window_frames: int = setting(8, "frames of a window of local attention", low=1, high=1000)
    window_side: int = setting(7, "rows and columns of such a window", low=1, high=1000)
    summary_frames: int = setting(2, "frames that global attention sees as one", low=1, high=1000)
    summary_side: int = setting(1, "rows and columns that global attention sees as one", low=1, high=1000)
    dropout: float = setting(0.2, "dropout in the transformer", low=0, high=0.9)
    compact_weight: float = setting(WEIGHT, "weight of the compact loss; 0: off", low=0, high=100)


class Cutting:
    """Cut a grid of tokens into equal windows that do not overlap, and back; zeros fill up the last ones.

    grid: frames, rows and columns of the tokens
    window: the largest frames, rows and columns of a window
    """

    def __init__(self, grid: tuple[int, int, int], window: tuple[int, int, int]) -> None:
        self.grid = grid
        self.window = tuple(min(w, size) for w, size in zip(window, grid, strict=True))
        self.windows = tuple(-(-size // w) for w, size in zip(self.window, grid, strict=True))
        self.padding = tuple(n * w - size for n, w, size in zip(self.windows, self.window, grid, strict=True))

    def real(self) -> Tensor | None:
        """Which tokens of each window are not padding, (windows, T) bool; None if all are real."""
        return self.cut(torch.ones(1, *self.grid, 1)).squeeze(2) > 0 if any(self.padding) else None

    def cut(self, x: Tensor) -> Tensor:
        """(B, N, h, w, R) → (B·windows, T, R)."""
        frames, rows, columns = self.padding
        x = F.pad(x, (0, 0, 0, columns, 0, rows, 0, frames))
        for axis in (3, 2, 1):  # from the last, since each becomes two: which window, and where in it
            x = x.unflatten(axis, (self.windows[axis - 1], self.window[axis - 1]))
        return x.permute(0, 1, 3, 5, 2, 4, 6, 7).flatten(0, 3).flatten(1, 3)

    def join(self, x: Tensor) -> Tensor:
        """(B·windows, T, R) → (B, N, h, w, R)."""
        x = x.unflatten(0, (-1, *self.windows)).unflatten(4, self.window)
        x = (
            x.permute(0, 1, 4, 2, 5, 3, 6, 7).flatten(5, 6).flatten(3, 4).flatten(1, 2)
        )  # padded (B, N, h, w, R)
        frames, rows, columns = self.grid
        return x[:, :frames, :rows, :columns]


class LocalAttention(nn.Module):
    """Attention inside each window: (B, N, h, w, R) → (B, N, h, w, R)."""

    def __init__(self, config: LogoFormerConfig, grid: tuple[int, int, int]) -> None:
        super().__init__()
        self.cutting = Cutting(grid, (config.window_frames, config.window_side, config.window_side))
        self.attention = _attention(config)
        self.register_buffer("real", self.cutting.real(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        windows = self.cutting.cut(x)  # (B·windows, T, R)
        seen = None if self.real is None else self.real.repeat(x.shape[0], 1)  # (B·windows, T)
        return self.cutting.join(self.attention(windows, seen))


class GlobalAttention(nn.Module):
    """Every token attends to a summary of the clip: (B, N, h, w, R) → (B, N, h, w, R)."""

    def __init__(self, config: LogoFormerConfig, grid: tuple[int, int, int]) -> None:
        super().__init__()
        width = config.width
        self.cutting = Cutting(grid, (config.summary_frames, config.summary_side, config.summary_side))
        # A depthwise convolution whose stride is its kernel: a weight for each feature of each token of a piece.
        pieces = torch.Size(self.cutting.window).numel()
        self.summary = nn.Parameter(torch.full((pieces, width), 1 / pieces))
        self.summary_bias = nn.Parameter(torch.zeros(width))
        self.summary_norm = nn.LayerNorm(width)
        self.attention = _attention(config)

    def summarised(self, x: Tensor) -> Tensor:
        """(B, N, h, w, R) → (B, pieces, R)."""
        pieces = self.cutting.cut(x)  # (B·pieces, T, R)
        means = (pieces * self.summary).sum(1) + self.summary_bias  # (B·pieces, R)
        return self.summary_norm(means).unflatten(0, (x.shape[0], -1))

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x.flatten(1, 3), memory=self.summarised(x)).view_as(x)


class LocalGlobalBlock(nn.Module):
    """Local attention, global attention, MLP; each after a norm and added: (B, N, h, w, R) → the same."""

    def __init__(self, config: LogoFormerConfig, grid: tuple[int, int, int]) -> None:
        super().__init__()
        self.local_norm = nn.LayerNorm(config.width)
        self.local_attention = LocalAttention(config, grid)
        self.global_norm = nn.LayerNorm(config.width)
        self.global_attention = GlobalAttention(config, grid)
        self.mlp_norm = nn.LayerNorm(config.width)
        self.mlp = mlp(config.width, config.mlp_width, nn.GELU(), config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.local_attention(self.local_norm(x))
        x = x + self.global_attention(self.global_norm(x))
        return x + self.mlp(self.mlp_norm(x))


class LogoFormer(CompactNetwork):
    """LOGO-Former (Ma et al. 2023). Raises UserError if the width is not a multiple of the heads."""

    Config = LogoFormerConfig
    source = Source(
        citation="Ma et al. 2023, ICASSP",
        gaps="width from the printed cost, window from DualFormer, other sizes from a port; compact loss is ours",
    )
    parts = MappingProxyType(
        {
            "tokens": "ResNet-18 up to stage 3, projection, positions of the places",
            "frames": "positions of the frames",
            "blocks": "attention in windows, attention to a summary of the clip, MLP",
            "norm": "norm after the last block",
            "head": "linear layer to the classes",
        }
    )

    def __init__(self, config: LogoFormerConfig, task: Task) -> None:
        super().__init__(task, config.compact_weight)
        side = map_side(task.image_size)
        self.grid = (task.num_frames, side, side)
        self.tokens = VideoTokens(config.width, places=side**2)
        self.frames = Positions(task.num_frames, config.width)
        self.blocks = nn.Sequential(*(LocalGlobalBlock(config, self.grid) for _ in range(config.depth)))
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, task.classes)
        start_linear(self)

    def forward(self, given: NetworkInput) -> Scores:
        x = self.tokens(given.frames)  # (B, N, P, R)
        x = self.frames(x.transpose(1, 2)).transpose(1, 2)  # (B, N, P, R)
        x = self.blocks(x.unflatten(2, self.grid[1:]))  # (B, N, h, w, R)
        return Scores(clip=self.head(self.norm(x).mean((1, 2, 3))))


def _attention(config: LogoFormerConfig) -> Attention:
    head_dim = head_size(config.width, config.heads)
    return Attention(config.width, config.heads, head_dim, bias=False, dropout=config.dropout)
