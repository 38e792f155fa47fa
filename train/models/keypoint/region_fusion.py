"""The vectors of a frame's key-points and of its whole face, D numbers each (128 after the graph), to one of R."""

import torch
from torch import Tensor, nn

from dfer.schemas.keypoints import DLIB18, KeypointSet


class RegionFusion(nn.Module):
    """The mean vector of each face region beside the global one (Fig. 4): R = (3 + 1) × D = 512."""

    def __init__(self, features: int = 128, keypoints: KeypointSet = DLIB18) -> None:
        super().__init__()
        self.outputs = features * (len(keypoints.regions) + 1)
        means = torch.zeros(len(keypoints.regions), keypoints.count)
        for row, members in enumerate(keypoints.regions.values()):
            means[row, list(members)] = 1 / len(members)
        self.register_buffer("means", means, persistent=False)

    def forward(self, local: Tensor, whole: Tensor) -> Tensor:
        """local (B, K, D), whole (B, D) → (B, R)."""
        return torch.cat([(self.means @ local).flatten(1), whole], dim=1)


class MeanFusion(nn.Module):
    """The plain mean of all vectors, widened to R numbers unless it has them (ablation of the fusion)."""

    def __init__(self, features: int = 128, outputs: int = 512) -> None:
        super().__init__()
        self.outputs = outputs
        self.widen = _widening(features, outputs)

    def forward(self, local: Tensor, whole: Tensor) -> Tensor:
        """local (B, K, D), whole (B, D) → (B, R)."""
        return self.widen(torch.cat([local, whole.unsqueeze(1)], dim=1).mean(1))


class GlobalFusion(nn.Module):
    """The whole face's vector alone, widened as `MeanFusion` does: what the network is without key-points."""

    def __init__(self, features: int = 128, outputs: int = 512) -> None:
        super().__init__()
        self.outputs = outputs
        self.widen = _widening(features, outputs)

    def forward(self, local: Tensor, whole: Tensor) -> Tensor:
        """local (B, K, D), not looked at; whole (B, D) → (B, R)."""
        return self.widen(whole)


class LstmFusion(nn.Module):
    """The last state of an LSTM that reads the vectors one by one (ablation of the fusion)."""

    def __init__(self, features: int = 128, outputs: int = 512) -> None:
        super().__init__()
        self.outputs = outputs
        self.lstm = nn.LSTM(features, outputs, batch_first=True)

    def forward(self, local: Tensor, whole: Tensor) -> Tensor:
        """local (B, K, D), whole (B, D) → (B, R)."""
        states, _ = self.lstm(torch.cat([local, whole.unsqueeze(1)], dim=1))  # (B, K + 1, R)
        return states[:, -1]


def _widening(features: int, outputs: int) -> nn.Module:
    return nn.Identity() if features == outputs else nn.Linear(features, outputs)


FUSIONS = {"structure": RegionFusion, "mean": MeanFusion, "lstm": LstmFusion, "global": GlobalFusion}
