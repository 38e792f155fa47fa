"""The fused vectors of a clip's N frames to one vector for the clip (Section 3.3)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Multi-head self-attention (Eqs. 7–10): heads × head_dim need not equal the width."""

    def __init__(self, width: int, heads: int, head_dim: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * heads * head_dim, bias=False)
        self.out = nn.Linear(heads * head_dim, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, T, width) → (B, T, width)."""
        mixed = F.scaled_dot_product_attention(*self._qkv(x))  # (B, heads, T, dim)
        return self.out(mixed.transpose(1, 2).flatten(2))

    def weights(self, x: Tensor) -> Tensor:
        """What `forward` weighs values with, and does not keep (Eq. 8): x (B, T, width) → (B, heads, T, T)."""
        q, k, _ = self._qkv(x)
        return (q @ k.transpose(2, 3) / q.shape[3] ** 0.5).softmax(3)

    def _qkv(self, x: Tensor) -> Tensor:
        return self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (3, B, heads, T, dim)


class Block(nn.Module):
    """A pre-norm transformer block: attention, then an MLP with GELU, each added to its input (Eqs. 10, 11)."""

    def __init__(self, width: int, heads: int, head_dim: int, mlp_width: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads, head_dim)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, mlp_width), nn.GELU(), nn.Linear(mlp_width, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.attention_norm(x))
        return x + self.mlp(self.mlp_norm(x))


class TemporalTransformer(nn.Module):
    """Class token and learned positions, `depth` blocks; the class token leaves (Eq. 6)."""

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
        self.token = nn.Parameter(torch.empty(1, 1, width))
        self.positions = nn.Parameter(torch.empty(1, frames + 1, width))
        nn.init.trunc_normal_(self.token, std=0.02)
        nn.init.trunc_normal_(self.positions, std=0.02)
        self.blocks = nn.Sequential(*(Block(width, heads, head_dim, mlp_width) for _ in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, N, R) → (B, R)."""
        x = torch.cat([self.token.expand(len(x), -1, -1), x], dim=1) + self.positions  # (B, N + 1, R)
        return self.blocks(x)[:, 0]


class TemporalLstm(nn.Module):
    """The last state of an LSTM over the frames (ablation C)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(width, width, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, N, R) → (B, R)."""
        return self.lstm(x)[0][:, -1]
