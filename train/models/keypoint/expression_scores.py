"""Add MediaPipe's expression scores to the frame vectors. Not in the paper."""

import torch
from torch import Tensor, nn

from dfer.schemas.blendshapes import BLENDSHAPES


class ExpressionScores(nn.Module):
    """Map a frame's 52 scores to its fused vector's R features; the map starts at zero."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(len(BLENDSHAPES))
        self.fc = nn.Linear(len(BLENDSHAPES), width)
        nn.init.zeros_(self.fc.weight)
        nn.init.zeros_(self.fc.bias)

    def forward(self, scores: Tensor) -> Tensor:
        """scores (B, N, 52) in 0–1, NaN where no face was found → (B, N, R), zero there."""
        seen = ~scores.isnan().any(-1, keepdim=True)  # (B, N, 1)
        return self.fc(self.norm(torch.where(seen, scores, 0))) * seen  # (B, N, R)
