"""Parts that several of these networks share: multi-head attention with bias only in its output, a pre-norm block.

Shapes: B sequences of T tokens with R features; H heads.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Multi-head self-attention: no bias in queries, keys and values, a bias in the output.

    width: R
    heads: H
    head_dim: features of a head; heads · head_dim need not equal R
    dropout: of the attention matrix and of the output, 0–1
    """

    def __init__(self, width: int, heads: int, head_dim: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.qkv = nn.Linear(width, 3 * heads * head_dim, bias=False)
        self.out = nn.Linear(heads * head_dim, width)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x (B, T, R); mask (B or 1, 1, 1, T) bool, which tokens to attend to, None for all → (B, T, R)."""
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (B, H, T, d) each
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)  # (B, H, T, d)
        return F.dropout(self.out(mixed.transpose(1, 2).flatten(2)), dropout)  # (B, T, R)


def mlp(width: int, hidden: int, dropout: float = 0.0, approximate: str = "none") -> nn.Sequential:
    """Two layers with GELU between them, (…, R) → (…, R). approximate: of GELU, "none" or "tanh"."""
    return nn.Sequential(
        nn.Linear(width, hidden),
        nn.GELU(approximate=approximate),
        nn.Dropout(dropout),
        nn.Linear(hidden, width),
        nn.Dropout(dropout),
    )


class Block(nn.Module):
    """A pre-norm transformer block: attention, then an MLP with tanh's GELU, each added to its input."""

    def __init__(self, width: int, heads: int, head_dim: int, mlp_width: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads, head_dim)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = mlp(width, mlp_width, approximate="tanh")

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, R) → (B, T, R)."""
        x = x + self.attention(self.attention_norm(x))
        return x + self.mlp(self.mlp_norm(x))


def blocks(depth: int, width: int, heads: int, head_dim: int, mlp_width: int) -> nn.Sequential:
    """Several blocks in a row, (B, T, R) → (B, T, R)."""
    return nn.Sequential(*(Block(width, heads, head_dim, mlp_width) for _ in range(depth)))


def truncated_normal_(module: nn.Module, std: float = 0.02) -> None:
    """Draw the weights of all linear layers of a module from a truncated normal; biases start at 0."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.trunc_normal_(part.weight, std=std)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


def parameter(*shape: int, std: float = 0.02) -> nn.Parameter:
    """A class token or positions, drawn from a truncated normal."""
    return nn.Parameter(nn.init.trunc_normal_(torch.empty(shape), std=std))
