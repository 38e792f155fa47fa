"""Multi-head attention and the transformer block around it (Vaswani et al. 2017).

Shapes: B sequences of T vectors with R features, or of M vectors in a memory; H heads of d features.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Let the vectors of a sequence attend to each other, or to those of a memory.

    width: R
    heads: H
    head_dim: d; heads · head_dim need not equal the width, since the output is projected back to it; None: R / H
    bias, out_bias: whether queries, keys and values have a bias, and whether the output has one
    dropout: of the attention's weights and of the output, 0–1
    """

    def __init__(
        self,
        width: int,
        heads: int,
        head_dim: int | None = None,
        *,
        bias: bool = True,
        out_bias: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.width, self.heads, self.dropout = width, heads, dropout
        self.inner = heads * (head_dim or width // heads)  # H · d
        self.qkv = nn.Linear(width, 3 * self.inner, bias)
        self.out = nn.Linear(self.inner, width, out_bias)

    def forward(self, x: Tensor, seen: Tensor | None = None, memory: Tensor | None = None) -> Tensor:
        """Mix what each vector attends to.

        x: (B, T, R)
        seen: (B, M) bool, which vectors of the memory to attend to; None: all
        memory: (B, M, R); None: x itself

        Returns (B, T, R).
        """
        mask = None if seen is None else seen[:, None, None]  # (B, 1, 1, M)
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(*self._qkv(x, memory), attn_mask=mask, dropout_p=dropout)
        return F.dropout(self.out(mixed.transpose(1, 2).flatten(2)), dropout)

    def weights(self, x: Tensor, seen: Tensor | None = None) -> Tensor:
        """The attention's weights in x itself, which `forward` does not keep: (B, T, R) → (B, H, T, T)."""
        q, k, _ = self._qkv(x)
        scaled = q @ k.transpose(2, 3) / q.shape[3] ** 0.5  # (B, H, T, T)
        if seen is not None:
            scaled = scaled.masked_fill(~seen[:, None, None], -torch.inf)
        return scaled.softmax(3)

    def _qkv(self, x: Tensor, memory: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries (B, H, T, d), keys and values (B, H, M, d)."""
        if memory is None:
            return self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind()
        weight, bias, sizes = self.qkv.weight, self.qkv.bias, (self.inner, 2 * self.inner)
        of_x, of_memory = zip(
            weight.split(sizes), (None, None) if bias is None else bias.split(sizes), strict=True
        )
        query = F.linear(x, *of_x).unflatten(2, (self.heads, -1)).transpose(1, 2)
        both = F.linear(memory, *of_memory).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return query, *both.unbind()


class Block(nn.Module):
    """Attention, perhaps to a memory as well, then an MLP, each added to its input.

    mlp: (…, R) → (…, R)
    cross: attention to the memory, as in a decoder; None: there is no memory
    norm_first: whether layer norm comes before each part, or after each sum as in the first transformer
    eps: of the layer norms
    """

    def __init__(
        self,
        attention: Attention,
        mlp: nn.Module,
        *,
        cross: Attention | None = None,
        norm_first: bool = True,
        eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.norm_first = norm_first
        self.attention_norm = nn.LayerNorm(attention.width, eps)
        self.attention = attention
        self.cross_norm = None if cross is None else nn.LayerNorm(attention.width, eps)
        self.cross = cross
        self.mlp_norm = nn.LayerNorm(attention.width, eps)
        self.mlp = mlp

    def forward(self, x: Tensor, seen: Tensor | None = None, memory: Tensor | None = None) -> Tensor:
        """x (B, T, R); seen (B, T) bool, which of x to attend to; memory (B, M, R) → (B, T, R)."""
        x = self._added(x, self.attention_norm, lambda given: self.attention(given, seen))
        if self.cross is not None:
            x = self._added(x, self.cross_norm, lambda given: self.cross(given, memory=memory))
        return self._added(x, self.mlp_norm, self.mlp)

    def _added(self, x: Tensor, norm: nn.Module, part: Callable[[Tensor], Tensor]) -> Tensor:
        return x + part(norm(x)) if self.norm_first else norm(x + part(x))


def mlp(width: int, hidden: int, activation: nn.Module, dropout: float = 0.0) -> nn.Sequential:
    """Two linear layers with dropout after each: (…, R) → (…, R)."""
    inner = nn.Sequential(activation, nn.Dropout(dropout))
    return nn.Sequential(nn.Linear(width, hidden), inner, nn.Linear(hidden, width), nn.Dropout(dropout))
