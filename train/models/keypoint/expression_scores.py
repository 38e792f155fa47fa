"""MediaPipe's expression scores beside what the network itself sees of a frame. Not in the paper."""

import torch
from torch import Tensor, nn

from dfer.schemas.blendshapes import BLENDSHAPES


class ExpressionScores(nn.Module):
    """What a frame's 52 scores add to its fused vector: at the start of training nothing."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(len(BLENDSHAPES))
        self.fc = nn.Linear(len(BLENDSHAPES), width)
        nn.init.zeros_(self.fc.weight)
        nn.init.zeros_(self.fc.bias)

    def forward(self, scores: Tensor) -> Tensor:
        """scores (B, N, 52), 0–1, NaN for a frame in which no face was seen, which adds nothing → (B, N, R)."""
        seen = ~scores.isnan().any(-1, keepdim=True)  # (B, N, 1)
        return self.fc(self.norm(torch.where(seen, scores, 0))) * seen
