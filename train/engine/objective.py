"""The loss of a batch: the cross-entropies of a network's scores (Eqs. 5, 12 and 13), and what it adds to them.

Optional: smoothing, votes, class balance, mixup.

The truth about B clips is either their labels, (B,) int64 with −1 for a clip that does not count, or the shares of
their votes, (B, classes) with all 0 for such a clip.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from dfer.schemas.support.errors import UserError
from dfer.train.config import RecipeConfig
from dfer.train.models.interface import NOTHING, ClipNetwork, Scores


@dataclass(frozen=True, kw_only=True)
class Objective:
    """The weighted sum of a network's losses, summed over clips; `weight` returns the divisor.

    parts: weight of each loss by name (`ClipNetwork.loss_weights`); for the paper's network Eq. 13
    smoothing: label smoothing, 0–1
    class_weights: (classes,) or None; a clip's own is that of the class with most votes, the mean of several
    shift: (classes,) added to the scores, or None
    judge: the network's `judged`
    """

    parts: Mapping[str, float]
    smoothing: float = 0.0
    class_weights: np.ndarray | None = None
    shift: np.ndarray | None = None
    judge: Callable[[Scores, Tensor], Mapping[str, Tensor]] = lambda scores, truth: NOTHING

    def total(self, scores: Scores, truth: Tensor, mix: float = 1.0) -> Tensor:
        """Sum the loss over the clips of a batch.

        scores: of a network
        truth: (B,) or (B, classes)
        mix: share of each clip's own truth; the rest is that of the previous clip, as in `NetworkInput.mix`
        """
        loss = self._judged(scores, truth)
        if mix < 1:
            loss = mix * loss + (1 - mix) * self._judged(scores, truth.roll(1, 0))
        counted = truth >= 0 if truth.ndim == 1 else truth.sum(1) > 0  # (B,)
        for name, values in scores.penalties.items():
            loss = loss + self._part(name) * (values * counted).sum()
        return loss

    def weight(self, truth: np.ndarray) -> float:
        """The divisor of `total` over these clips: their number, or the sum of their class weights."""
        if self.class_weights is None:
            return float(len(truth))
        if truth.ndim == 1:
            return float(self.class_weights[truth].sum())
        return float(_of_clips(torch.as_tensor(self.class_weights), torch.as_tensor(truth)).sum())

    def _part(self, name: str) -> float:
        if name not in self.parts:
            raise UserError(f"the network's `loss_weights` does not name its loss {name}")
        return self.parts[name]

    def _judged(self, scores: Scores, truth: Tensor) -> Tensor:
        """The losses that depend on the truth."""
        loss = self.parts["clip"] * self._cross_entropy(scores.clip, truth)
        for name, logits in scores.auxiliary.items():
            loss = loss + self._part(name) * self._cross_entropy(logits, truth)
        for name, values in self.judge(scores, _shares(truth, scores.clip.shape[1])).items():
            loss = loss + self._part(name) * values.sum()
        return loss

    def _cross_entropy(self, scores: Tensor, truth: Tensor) -> Tensor:
        # Half precision would lose small losses, so autocast's scores are widened. Float64 stays.
        scores = scores if scores.dtype == torch.float64 else scores.float()
        if self.shift is not None:
            scores = scores + torch.as_tensor(self.shift, dtype=scores.dtype, device=scores.device)
        weights = self.class_weights
        if weights is not None:
            weights = torch.as_tensor(weights, dtype=scores.dtype, device=scores.device)
        if truth.ndim == 2:
            return self._soft(scores, truth, weights)
        return F.cross_entropy(
            scores,
            truth,
            weight=weights,
            ignore_index=-1,
            reduction="sum",
            label_smoothing=self.smoothing,
        )

    def _soft(self, scores: Tensor, shares: Tensor, weights: Tensor | None) -> Tensor:
        """The same for shares (B, classes): equal to the loss of the labels where one class has all votes."""
        losses = -scores.log_softmax(1)  # (B, classes)
        own = (shares * losses).sum(1)
        even = (losses if weights is None else weights * losses).mean(1) * shares.sum(1)
        if weights is not None:
            own = own * _of_clips(weights, shares)
        return ((1 - self.smoothing) * own + self.smoothing * even).sum()


def objective(recipe: RecipeConfig, truth: np.ndarray, network: ClipNetwork) -> Objective:
    """Make a recipe's loss for a network.

    truth: labels or shares of all training clips, for the class weights and the logit adjustment
    """
    counts = class_counts(truth, network.classes)
    adjusts = recipe.logit_adjustment > 0 and recipe.adjusted == "loss"
    return Objective(
        parts=network.loss_weights,
        smoothing=recipe.label_smoothing,
        class_weights=_class_weights(recipe, counts),
        shift=recipe.logit_adjustment * log_prior(counts) if adjusts else None,
        judge=network.judged,
    )


def class_counts(truth: np.ndarray, classes: int) -> np.ndarray:
    """Count the clips of each class, (classes,), clips without one ignored; of votes, sum the shares."""
    return np.bincount(truth[truth >= 0], minlength=classes) if truth.ndim == 1 else truth.sum(0, np.float64)


def log_prior(counts: np.ndarray) -> np.ndarray:
    """Logarithm of each class's share of the clips, (classes,) float32. A class with less than one counts as one."""
    counts = np.maximum(counts, 1)
    return np.log(counts / counts.sum()).astype(np.float32)


def prediction_shift(recipe: RecipeConfig, counts: np.ndarray) -> Tensor | None:
    """What is added to the scores when predicting (Menon et al. 2021, Eq. 9): −τ·log prior, (classes,), or None."""
    if recipe.logit_adjustment > 0 and recipe.adjusted == "predictions":
        return torch.from_numpy(-recipe.logit_adjustment * log_prior(counts))
    return None


def _class_weights(recipe: RecipeConfig, counts: np.ndarray) -> np.ndarray | None:
    """One over the clips of each class, or over their effective number (Cui et al. 2019, Eq. 2), (classes,) float32.

    Scaled so that the mean over the clips is 1; 0 for a class without clips.
    """
    if recipe.class_weights == "none":
        return None
    occurs = counts > 0
    if recipe.class_weights == "inverse":
        weights = len(counts) / np.where(occurs, counts, 1)
    else:
        beta = recipe.effective_beta
        weights = (1 - beta) / (1 - beta ** np.where(occurs, counts, 1))
    weights = weights * occurs
    return (weights * counts.sum() / (weights * counts).sum()).astype(np.float32)


def _of_clips(weights: Tensor, shares: Tensor) -> Tensor:
    """The weight of each clip's most voted class, (B,), the mean if several are tied; 0 for a clip without shares."""
    most = (shares == shares.amax(1, keepdim=True)) & (shares > 0)
    return (most * weights).sum(1) / most.sum(1).clamp(min=1)


def _shares(truth: Tensor, classes: int) -> Tensor:
    """The truth as shares (B, classes); all 0 for a clip that does not count."""
    if truth.ndim == 2:
        return truth
    return F.one_hot(truth.clamp(min=0), classes) * (truth >= 0).unsqueeze(1)
