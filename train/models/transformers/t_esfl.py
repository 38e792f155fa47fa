"""The visual part of T-ESFL, Transformer-based expression snippet feature learning (Liu Y. et al. 2022, ACM MM).

It is the method of the paper that presents the MAFW database; its audio and text parts are left out. Figure 4 has
seven snippets, a CNN and "attention learning" on each, a transformer with a query, a classifier, and the
reconstruction of the snippets' order from snippets and clip. Input: frames of 224 px.

The paper prints one page on it, and neither code nor a number of parameters is public. Open: the number of frames in
a snippet, all sizes, the attention, the classifiers. Chosen as in EST by the same authors (`est.py`): five frames,
ResNet-18, three blocks of four heads in encoder and decoder, ten orders. The paper cites frame attention networks
(Meng et al. 2019) for the CNN, so the attention is theirs too: a sigmoid weighs each frame of a snippet. The
classifier is one linear layer. That makes 41.7 M parameters.

The paper starts from a pre-trained CNN. Ours starts from random weights: He normal (fan-out) for convolutions, a
truncated normal of 0.02 for the transformer.
"""

from types import MappingProxyType

from torch import Tensor, nn

from dfer.train.models.interface import NetworkInput, Scores, Source, Task
from dfer.train.models.resnet import CHANNELS
from dfer.train.models.transformers.snippets import SnippetConfig, SnippetNetwork


class WeighedSnippet(nn.Module):
    """The mean of a snippet's frames, each weighed by a sigmoid: (B, L, R) → (B, R)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Linear(width, 1)

    def forward(self, frames: Tensor) -> Tensor:
        weights = self.weight(frames).sigmoid()  # (B, L, 1)
        return (weights * frames).sum(1) / weights.sum(1)


class TESFL(SnippetNetwork):
    """Frames to snippets to the clip, with one linear layer as the classifier."""

    source = Source(
        citation="Liu Y. et al. 2022, ACM MM",
        gaps="frames of a snippet, sizes of all parts, the attention among frames",
    )
    parts = MappingProxyType(
        {
            "backbone": "ResNet-18, of each frame",
            "snippet": "weighed mean of a snippet's frames",
            "transformer": "encoder and decoder over the snippets",
            "head": "classifier",
            "order": "classifier of the snippets' order, for its loss",
        }
    )

    def __init__(self, config: SnippetConfig, task: Task) -> None:
        super().__init__(config, task, WeighedSnippet(CHANNELS))
        self.head = nn.Linear(CHANNELS, task.classes)

    def forward(self, given: NetworkInput) -> Scores:
        """Score a batch of clips."""
        snippets, clip = self.encoded(given)
        return self.scored(self.head(clip), snippets, clip)
