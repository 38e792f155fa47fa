"""From the fused vectors of a clip's N frames to one vector for the clip (Section 3.3)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Multi-head self-attention (Eqs. 7–10).

    width: R
    heads: H
    head_dim: features of a head, d_k; heads · head_dim need not equal the width, since W_H projects back to it

    The equations print no biases, so there are none.
    """

    def __init__(self, width: int, heads: int, head_dim: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * heads * head_dim, bias=False)  # W_q, W_k, W_v
        self.out = nn.Linear(heads * head_dim, width, bias=False)  # W_H

    def forward(self, x: Tensor, seen: Tensor | None = None) -> Tensor:
        """x (B, T, R); seen (B, T) bool, which of them to attend to, None for all → (B, T, R)."""
        mask = None if seen is None else seen[:, None, None]  # (B, 1, 1, T)
        mixed = F.scaled_dot_product_attention(*self._qkv(x), attn_mask=mask)  # (B, H, T, d_k)
        return self.out(mixed.transpose(1, 2).flatten(2))  # (B, T, R)

    def weights(self, x: Tensor, seen: Tensor | None = None) -> Tensor:
        """The attention matrix (Eq. 8), which `forward` does not keep: (B, T, R) → (B, H, T, T)."""
        q, k, _ = self._qkv(x)
        scaled = q @ k.transpose(2, 3) / q.shape[3] ** 0.5  # (B, H, T, T)
        if seen is not None:
            scaled = scaled.masked_fill(~seen[:, None, None], -torch.inf)
        return scaled.softmax(3)

    def _qkv(self, x: Tensor) -> Tensor:
        return self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (3, B, H, T, d_k)


class Block(nn.Module):
    """A pre-norm transformer block: attention, then an MLP, each added to its input (Eqs. 10 and 11).

    The paper prints neither the MLP's width nor its activation; we use GELU and no dropout.
    """

    def __init__(self, width: int, heads: int, head_dim: int, mlp_width: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads, head_dim)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, mlp_width), nn.GELU(), nn.Linear(mlp_width, width))

    def forward(self, x: Tensor, seen: Tensor | None = None) -> Tensor:
        """x (B, T, R), seen as of `Attention` → (B, T, R)."""
        x = x + self.attention(self.attention_norm(x), seen)
        return x + self.mlp(self.mlp_norm(x))


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
        self.token = nn.Parameter(torch.empty(1, 1, width))
        self.positions = nn.Parameter(torch.empty(1, frames + 1, width))
        nn.init.trunc_normal_(self.token, std=0.02)
        nn.init.trunc_normal_(self.positions, std=0.02)
        self.blocks = nn.ModuleList(Block(width, heads, head_dim, mlp_width) for _ in range(depth))

    def forward(self, x: Tensor, seen: Tensor | None = None) -> Tensor:
        """x (B, N, R); seen (B, N) bool, the frames to attend to, None for all → (B, R)."""
        x = torch.cat([self.token.expand(len(x), -1, -1), x], dim=1) + self.positions  # (B, N + 1, R)
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
