"""What networks of this folder do with frames: a vector from each, scores averaged over them.

Shapes: B clips, N frames, C features.
"""

import math

from torch import Tensor, nn
from torch.nn import functional as F

from dfer.schemas.support.settings import setting

# How the scores of frames become those of the clip; `probabilities` is what Liu Y. et al. 2022 (MAFW) do.
AVERAGES = ("scores", "probabilities")


def average_setting() -> str:
    """The settings field of the networks that average over frames."""
    return setting("scores", "what is averaged over a clip's frames", choices=AVERAGES)


def frame_vectors(backbone: nn.Module, frames: Tensor) -> Tensor:
    """Average the map of each frame over its places.

    backbone: from images (…, 3, H, W) to maps (…, C, h, w)
    frames: (B, N, 3, H, W)

    Returns (B, N, C).
    """
    maps = backbone(frames.flatten(0, 1))  # (B·N, C, h, w)
    return maps.mean((2, 3)).unflatten(0, frames.shape[:2])  # (B, N, C)


def averaged(scores: Tensor, average: str) -> Tensor:
    """Combine the scores of frames, logits (B, N, classes), to those of the clip (B, classes).

    average: one of AVERAGES; `probabilities` gives the logarithm of the mean probability
    """
    if average == "scores":
        return scores.mean(1)
    return F.log_softmax(scores, dim=2).logsumexp(1) - math.log(scores.shape[1])
