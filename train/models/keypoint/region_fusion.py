"""Fuse the vectors of a frame, K local and one global, into one of R features (Section 3.2)."""

import torch
from torch import Tensor, nn

from dfer.schemas.keypoints import KeypointSet

FEATURES = 128  # D, after the key-point graph
OUTPUTS = 512  # R of the ablations: that of the paper's three regions, (3 + 1) · 128


class RegionFusion(nn.Module):
    """Concatenate the mean vector of each region with the global one (Fig. 4): R = (regions + 1) · D.

    Three regions and D = 128 give the paper's 512. Key-points in no region are left out.
    """

    def __init__(self, keypoints: KeypointSet, features: int = FEATURES) -> None:
        super().__init__()
        regions = keypoints.regions.values()
        self.outputs = features * (len(regions) + 1)
        means = torch.zeros(len(regions), keypoints.count)  # (regions, K)
        for row, members in enumerate(regions):
            means[row, list(members)] = 1 / len(members)
        self.register_buffer("means", means, persistent=False)

    def forward(self, local_features: Tensor, global_features: Tensor) -> Tensor:
        """(B, K, D), (B, D) → (B, R)."""
        regions = self.means @ local_features  # (B, regions, D)
        return torch.cat([regions.flatten(1), global_features], dim=1)


class MeanFusion(nn.Module):
    """Average all K + 1 vectors (Table 10).

    A linear layer widens the mean from D to R features where they differ, so that the temporal part stays the same.
    The paper does not print one.
    """

    def __init__(self, features: int = FEATURES, outputs: int = OUTPUTS) -> None:
        super().__init__()
        self.outputs = outputs
        self.widen = _widening_layer(features, outputs)

    def forward(self, local_features: Tensor, global_features: Tensor) -> Tensor:
        """(B, K, D), (B, D) → (B, R)."""
        vectors = torch.cat([local_features, global_features.unsqueeze(1)], dim=1)  # (B, K + 1, D)
        return self.widen(vectors.mean(1))


class GlobalFusion(nn.Module):
    """Take the global vector alone, widened as in `MeanFusion`: the network without key-points. Not in the paper."""

    def __init__(self, features: int = FEATURES, outputs: int = OUTPUTS) -> None:
        super().__init__()
        self.outputs = outputs
        self.widen = _widening_layer(features, outputs)

    def forward(self, local_features: Tensor, global_features: Tensor) -> Tensor:
        """(B, K, D), unused; (B, D) → (B, R)."""
        return self.widen(global_features)


class LstmFusion(nn.Module):
    """Read the K + 1 vectors one by one and take the LSTM's last state (Table 10).

    The paper prints neither the hidden size nor the order: we take R, and the global vector last.
    """

    def __init__(self, features: int = FEATURES, outputs: int = OUTPUTS) -> None:
        super().__init__()
        self.outputs = outputs
        self.lstm = nn.LSTM(features, outputs, batch_first=True)

    def forward(self, local_features: Tensor, global_features: Tensor) -> Tensor:
        """(B, K, D), (B, D) → (B, R)."""
        vectors = torch.cat([local_features, global_features.unsqueeze(1)], dim=1)  # (B, K + 1, D)
        states, _ = self.lstm(vectors)  # (B, K + 1, R)
        return states[:, -1]


Fusion = RegionFusion | MeanFusion | LstmFusion | GlobalFusion


def make_fusion(kind: str, keypoints: KeypointSet, features: int = FEATURES) -> Fusion:
    """Make the fusion that `NetworkConfig.fusion` names, for vectors of `features` numbers."""
    if kind == "structure":
        return RegionFusion(keypoints, features)
    return {"mean": MeanFusion, "lstm": LstmFusion, "global": GlobalFusion}[kind](features)


def _widening_layer(features: int, outputs: int) -> nn.Module:
    return nn.Identity() if features == outputs else nn.Linear(features, outputs)
