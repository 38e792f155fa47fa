"""Triplet attention (Misra et al. 2021): three gates, each over two of a map's three axes."""

import torch
from torch import Tensor, nn


class Gate(nn.Module):
    """A gate in (0, 1) over two axes of (B, C, h, w): the third, `pooled`, shrinks to its maximum and mean.

    pooled: 1 gives a gate over (h, w), 2 over (C, w), 3 over (C, h). The result broadcasts against the map.
    """

    def __init__(self, pooled: int) -> None:
        super().__init__()
        self.pooled = pooled
        self.conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)
        self.bn = nn.BatchNorm2d(1)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        both = torch.stack([x.amax(self.pooled), x.mean(self.pooled)], dim=1)  # (B, 2, two axes)
        gate = torch.sigmoid(self.bn(self.conv(both))).squeeze(1)  # (B, two axes)
        return gate.unsqueeze(self.pooled)  # (B, C, h, w) with 1 in the pooled axis


class TripletAttention(nn.Module):
    """A map (B, C, h, w) times the mean of its three gates."""

    def __init__(self) -> None:
        super().__init__()
        self.gates = nn.ModuleList(Gate(pooled) for pooled in (1, 2, 3))

    def forward(self, x: Tensor) -> Tensor:
        # The mean of three products is one product with the mean gate: two maps less to write.
        height_width, channel_width, channel_height = (gate(x) for gate in self.gates)
        return x * ((height_width + channel_width + channel_height) / 3)
