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

    def forward(self, landmarks: Tensor, expressions: Tensor | None, detected: Tensor) -> Tensor:
        """Standardised features of each frame.

        landmarks: (B, N, 68, 2) divided by the crop's side
        expressions: (B, N, 52) in 0–1, NaN where there are none; None without `expressions`
        detected: (B, N) bool, whether the frame's face was found

        Returns (B, N, F). What is unknown counts as the mean, zero: scores that are NaN, frames without a face.
        """
        parts = [landmarks.flatten(2)]  # (B, N, 136)
        if expressions is not None:
            parts.insert(0, expressions.clamp(SMALLEST_SCORE, 1 - SMALLEST_SCORE).logit())  # (B, N, 52)
        features = (torch.cat(parts, 2) - self.mean) / self.deviation  # (B, N, F)
        return torch.where(detected.unsqueeze(2) & ~features.isnan(), features, 0)


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
