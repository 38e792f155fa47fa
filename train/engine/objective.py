"""The loss of a batch: two cross-entropies (Eqs. 5, 12 and 13), with optional smoothing, class weights and mixup."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from dfer.train.config import RecipeConfig
from dfer.train.models.keypoint.network import Scores


@dataclass(frozen=True, kw_only=True)
class Objective:
    """λ·CE(frames) + (1 − λ)·CE(clip), summed over clips (Eq. 13); `weight` returns the divisor.

    frame_weight: λ
    smoothing: label smoothing, 0–1
    class_weights: (classes,) or None
    """

    frame_weight: float
    smoothing: float = 0.0
    class_weights: np.ndarray | None = None

    def total(self, scores: Scores, labels: Tensor, mix: float = 1.0) -> Tensor:
        """Sum the loss over the clips of a batch.

        scores: (B, classes) each
        labels: (B,) int64; clips with −1 are ignored
        mix: share of each clip's own label; the rest is the label of the previous clip, as in `DferNetwork.forward`
        """
        loss = self._both(scores, labels)
        if mix < 1:
            loss = mix * loss + (1 - mix) * self._both(scores, labels.roll(1))
        return loss

    def weight(self, labels: np.ndarray) -> float:
        """The divisor of `total` over these labels: their number, or the sum of their class weights."""
        if self.class_weights is None:
            return float(len(labels))
        return float(self.class_weights[labels].sum())

    def _both(self, scores: Scores, labels: Tensor) -> Tensor:
        clip = self._cross_entropy(scores.clip, labels)
        if scores.frames is None:
            return clip
        return self.frame_weight * self._cross_entropy(scores.frames, labels) + (1 - self.frame_weight) * clip

    def _cross_entropy(self, scores: Tensor, labels: Tensor) -> Tensor:
        # Half precision would lose small losses, so autocast's scores are widened. Float64 stays.
        scores = scores if scores.dtype == torch.float64 else scores.float()
        weights = self.class_weights
        if weights is not None:
            weights = torch.as_tensor(weights, dtype=scores.dtype, device=scores.device)
        return F.cross_entropy(
            scores,
            labels,
            weight=weights,
            ignore_index=-1,
            reduction="sum",
            label_smoothing=self.smoothing,
        )


def objective(recipe: RecipeConfig, labels: np.ndarray, classes: int) -> Objective:
    """Make a recipe's loss.

    labels: (clips,) class numbers of all training clips, for the class weights
    classes: number of classes

    Inverse class weights are clips / (classes that occur · clips of the class), and 0 for a class without clips.
    """
    weights = None
    if recipe.class_weights == "inverse":
        counts = np.bincount(labels, minlength=classes)
        occurring = np.maximum(counts, 1) * (counts > 0).sum()
        weights = (len(labels) / occurring * (counts > 0)).astype(np.float32)
    return Objective(
        frame_weight=recipe.frame_weight, smoothing=recipe.label_smoothing, class_weights=weights
    )
