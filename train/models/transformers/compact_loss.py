"""The part that Ma et al. add to the cross-entropy, so that a class's clips lie close together and far from others.

STT calls the sum "compact softmax cross entropy", LOGO-Former the addition "compact loss regularization". We know its
purpose, not its formula, and take Kobayashi 2019 ("Large margin in softmax cross-entropy loss", BMVC), which has the
same purpose: the shares of the classes that are not the clip's own should be even.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from dfer.train.models.interface import NOTHING, ClipNetwork, Scores, Task

WEIGHT = 0.3  # Kobayashi's


class CompactNetwork(ClipNetwork):
    """Base of networks trained with the compact loss. weight: of that loss, 0: off"""

    def __init__(self, task: Task, weight: float) -> None:
        super().__init__(task)
        self.compact_weight = weight

    @property
    def loss_weights(self) -> Mapping[str, float]:
        return {"clip": 1.0, "compact": self.compact_weight} if self.compact_weight else {"clip": 1.0}

    def judged(self, scores: Scores, truth: Tensor) -> Mapping[str, Tensor]:
        return {"compact": compact_loss(scores.clip, truth)} if self.compact_weight else NOTHING


def compact_loss(scores: Tensor, truth: Tensor) -> Tensor:
    """Half the symmetric divergence between the shares of the other classes and even shares, for each clip.

    scores: (B, classes) logits of two classes or more
    truth: (B, classes) share of each class in 0–1

    Returns (B,), not negative; 0 where the other classes have equal logits, or only one other class exists.
    """
    # Half precision would lose small losses. Float64 stays.
    scores = scores if scores.dtype == torch.float64 else scores.float()
    classes = scores.shape[1]
    own = torch.eye(classes, dtype=torch.bool, device=scores.device)
    # Row y leaves class y out.
    others = scores.unsqueeze(1).masked_fill(own, -torch.inf).log_softmax(2)  # (B, classes, classes)
    uneven = others.exp() - 1 / (classes - 1)
    of_classes = 0.5 * (uneven * others.masked_fill(own, 0)).sum(2)  # (B, classes)
    return (truth * of_classes).sum(1)
