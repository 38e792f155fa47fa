"""The graph convolution over the key-points of one frame (Eqs. 3 and 4)."""

import torch
from torch import Tensor, nn

from dfer.schemas.keypoints import DLIB18, KeypointSet

# V_l · v_g / C of a new network in training is 0.18 on average over real faces (0.10–0.34), whatever the strides.
RELATION_AT_THE_START = 5.5


class KeypointGraph(nn.Module):
    """Local vectors pass messages along the key-point graph, weighted by how they relate to the whole face.

    W_a = ReLU(V_l W v_gᵀ / C) scales the rows of D⁻¹A; V = ReLU(FC(W_a ⊙ D⁻¹A · V_l + V_l)); the global
    vector goes through the same FC. Printed without the division, W_a is quadratic in the features and
    unbounded; W could absorb the constant.

    W starts as RELATION_AT_THE_START · I + N(0, 0.01²): W_a is then a key-point's likeness to the whole face,
    V_l · v_g / C, scaled to about 1. Of the noise alone it would be ±0.002 with one sign for nearly all key-points of
    a network (the features are means after a ReLU, all much alike), and five networks of eight started with the
    ReLU closed for all of them, or nearly: no message, and no gradient that could open it.

    message: False leaves the neighbours out and keeps the FC (ablation D).
    """

    def __init__(
        self, channels: int = 512, outputs: int = 128, keypoints: KeypointSet = DLIB18, message: bool = True
    ) -> None:
        super().__init__()
        self.outputs = outputs
        self.fc = nn.Linear(channels, outputs)
        self.relation = nn.Parameter(torch.empty(channels, channels)) if message else None
        if message:
            nn.init.normal_(self.relation, std=0.01)
            self.relation.data.diagonal().add_(RELATION_AT_THE_START)
        adjacency = torch.from_numpy(keypoints.adjacency())
        self.register_buffer("adjacency", adjacency / adjacency.sum(1, keepdim=True), persistent=False)

    def weights(self, local: Tensor, whole: Tensor) -> Tensor:
        """W_a: local (B, K, C), whole (B, C) → (B, K, 1), non-negative."""
        # Divided before the products, which in float16 could leave its range.
        related = local @ (self.relation @ (whole / local.shape[2]).unsqueeze(2))  # (B, K, 1)
        return torch.relu(related)

    def forward(self, local: Tensor, whole: Tensor) -> tuple[Tensor, Tensor]:
        """local (B, K, C), whole (B, C) → (B, K, outputs), (B, outputs)."""
        if self.relation is not None:
            local = self.weights(local, whole) * (self.adjacency @ local) + local  # (B, K, C)
        return torch.relu(self.fc(local)), torch.relu(self.fc(whole))
