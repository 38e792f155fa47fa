"""What the landmark tables know about a face: its 68 points and its expression scores. Not in the paper.

`FaceFeatures` makes one vector of F features a frame. `GeometryBranch` is trained with the network and adds to its
frame vectors and class scores. `RegressionScores` are those of the landmark baseline, fitted before the network is
trained (`engine.fit_landmarks`) and averaged with its prediction.
"""

import torch
from torch import Tensor, nn

from dfer.schemas.blendshapes import BLENDSHAPES, SMALLEST_SCORE
from dfer.schemas.keypoints import LANDMARKS


class FaceFeatures(nn.Module):
    """The points and, with `expressions`, the logits of the scores, standardised: F = 136 or 188 features.

    Mean and deviation are those of the training clips, set before training, not of a batch: a frame's features then
    depend on nothing else, and a step may be a single clip.
    """

    def __init__(self, expressions: bool) -> None:
        super().__init__()
        self.count = 2 * LANDMARKS + (len(BLENDSHAPES) if expressions else 0)
        self.register_buffer("mean", torch.zeros(self.count))
        self.register_buffer("deviation", torch.ones(self.count))

    def forward(
        self, landmarks: Tensor, expressions: Tensor | None, detected: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Standardised features of each frame.

        landmarks: (B, N, 68, 2) divided by the crop's side
        expressions: (B, N, 52) in 0–1, NaN where there are none; None without `expressions`
        detected: (B, N) bool, None: in all frames

        Returns the features (B, N, F), zero in frames without a face, and which frames have one (B, N) bool.
        """
        points = landmarks.flatten(2)  # (B, N, 136)
        seen = torch.ones_like(points[..., 0], dtype=torch.bool) if detected is None else detected
        if expressions is not None:
            seen = seen & ~expressions.isnan().any(2)
            points = torch.cat([expressions.clamp(SMALLEST_SCORE, 1 - SMALLEST_SCORE).logit(), points], 2)
        features = (points - self.mean) / self.deviation  # (B, N, F)
        return torch.where(seen.unsqueeze(2), features, 0), seen


class GeometryBranch(nn.Module):
    """Map a frame's features to its fused vector, and their clip mean to class scores. Both start at zero."""

    def __init__(self, features: int, width: int, classes: int) -> None:
        super().__init__()
        self.fc = nn.Linear(features, width, bias=False)  # to R
        self.head = nn.Linear(features, classes, bias=False)
        nn.init.zeros_(self.fc.weight)
        nn.init.zeros_(self.head.weight)


class RegressionScores(nn.Module):
    """Average the network's log probabilities with those of a logistic regression on the clip's mean features.

    share: of the regression's log probabilities in the average, 0–1
    """

    def __init__(self, features: int, classes: int, share: float) -> None:
        super().__init__()
        self.share = share
        self.register_buffer("weights", torch.zeros(classes, features))
        self.register_buffer("bias", torch.zeros(classes))

    def forward(self, scores: Tensor, features: Tensor) -> Tensor:
        """scores (B, classes) of the network, features (B, F) → (B, classes), averaged log probabilities."""
        own = nn.functional.linear(features, self.weights, self.bias)  # (B, classes)
        return (1 - self.share) * scores.log_softmax(1) + self.share * own.log_softmax(1)
