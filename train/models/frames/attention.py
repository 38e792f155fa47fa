"""Multi-head self-attention with biases (Vaswani et al. 2017), for the networks of this folder."""

from torch import Tensor, nn
from torch.nn import functional as F


class SelfAttention(nn.Module):
    """Let the T vectors of a sequence attend to each other.

    width: C, features of a vector; a multiple of `heads`
    heads: H
    dropout: of the attention weights
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) → (B, T, C)."""
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (B, H, T, C/H) each
        dropped = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, dropout_p=dropped)  # (B, H, T, C/H)
        return self.out(mixed.transpose(1, 2).flatten(2))
