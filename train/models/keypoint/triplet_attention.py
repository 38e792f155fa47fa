"""Triplet attention (Misra et al. 2021): three gates, each over two of a map's three axes."""

import torch
from torch import Tensor, nn


class Gate(nn.Module):
    """A gate in (0, 1) over two axes of a map (B, C, h, w).

    pooled: the third axis, reduced to its maximum and mean. 1 gives a gate over (h, w), 2 over (C, w), 3 over (C, h)
    """

    def __init__(self, pooled: int) -> None:
        super().__init__()
        self.pooled = pooled
        self.conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)
        self.bn = nn.BatchNorm2d(1)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) → the gate, with 1 in the pooled axis."""
        both = torch.stack([x.amax(self.pooled), x.mean(self.pooled)], dim=1)  # (B, 2, two axes)
        gate = torch.sigmoid(self.bn(self.conv(both))).squeeze(1)  # (B, two axes)
        return gate.unsqueeze(self.pooled)  # (B, C, h, w) with 1 in the pooled axis


class TripletAttention(nn.Module):
    """Multiply a map by the mean of its three gates (Tri in Eq. 1): (B, C, h, w) → (B, C, h, w)."""

    def __init__(self) -> None:
        super().__init__()
        self.gates = nn.ModuleList(Gate(pooled) for pooled in (1, 2, 3))

    def forward(self, x: Tensor) -> Tensor:
        # The mean of three products is one product with the mean gate, and writes two maps less.
        height_width, channel_width, channel_height = (gate(x) for gate in self.gates)
        return x * ((height_width + channel_width + channel_height) / 3)  # (B, C, h, w)
