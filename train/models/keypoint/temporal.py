"""From the fused vectors of a clip's N frames to one vector for the clip (Section 3.3)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dfer.train.models.attention import Attention, Block, mlp
from dfer.train.models.initial_weights import parameter


def block(width: int, heads: int, head_dim: int, mlp_width: int) -> Block:
    """A transformer block: attention, then an MLP, each added to its input (Eqs. 10 and 11).

    Eqs. 7–10 print no biases, so attention has none. The paper prints neither the MLP's width nor its activation; we
    use GELU and no dropout.
    """
    attention = Attention(width, heads, head_dim, bias=False, out_bias=False)
    return Block(attention, mlp(width, mlp_width, nn.GELU()))


class TemporalTransformer(nn.Module):
    """Add a class token and learned positions, apply `depth` blocks, return the class token (Eqs. 6–11).

    Token and positions are "randomly initialized" in the paper; we draw them from a truncated normal of 0.02. As in
    Eq. 11, no norm follows the last block.
    """

    def __init__(
        self,
        width: int,
        frames: int,
        depth: int = 3,
        heads: int = 8,
        head_dim: int = 64,
        mlp_width: int = 768,
    ) -> None:
        super().__init__()
        self.token = parameter(1, 1, width)
        self.positions = parameter(1, frames + 1, width)
        self.blocks = nn.ModuleList(block(width, heads, head_dim, mlp_width) for _ in range(depth))

    def forward(self, x: Tensor, seen: Tensor | None = None) -> Tensor:
        """x (B, N, R); seen (B, N) bool, the frames to attend to, None for all → (B, R)."""
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1) + self.positions  # (B, N + 1, R)
        if seen is not None:
            seen = F.pad(seen, (1, 0), value=True)  # (B, N + 1): the token is always there
        for block in self.blocks:
            x = block(x, seen)
        return x[:, 0]  # (B, R)


def masked_mean(x: Tensor, seen: Tensor | None) -> Tensor:
    """Average x (B, N, R) over the frames in seen (B, N) bool → (B, R); None: over all. Zero where none is seen."""
    if seen is None:
        return x.mean(1)
    shares = seen.to(x.dtype) / seen.sum(1, keepdim=True).clamp(min=1)  # (B, N)
    return torch.einsum("bn,bnr->br", shares, x)


class TemporalLstm(nn.Module):
    """The last state of an LSTM over the frames (ablation C). Its hidden size is R; the paper prints none."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(width, width, batch_first=True)

    def forward(self, x: Tensor, seen: None = None) -> Tensor:
        """(B, N, R) → (B, R). It reads every frame (`NetworkConfig` refuses a mask)."""
        return self.lstm(x)[0][:, -1]
