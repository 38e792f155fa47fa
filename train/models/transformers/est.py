"""EST, the Expression Snippet Transformer (Liu Y. et al. 2023, Pattern Recognition 138, 109368; arXiv 2109.08409).

A clip is seven snippets of five frames of 224 px. Attention among a snippet's frames, then their mean weighted by
likeness to the snippet's maximum, gives its vector. A transformer reads the snippets. A second classifier must find
in which of ten orders they were shuffled. 42.8 M parameters, the printed 43 M, of which 8.4 M serve the order alone.

Taken from the authors' public code: all sizes, norms and dropouts, the sum of snippets and clip without gradient to
the snippets, the classifier of three layers. There the transformer reads shuffled snippets that keep the positions of
their true places, which is the same as to read them in order. So they are read in order here, and only the second
classifier gets them shuffled. Its ten orders are random there too, but others. The paper takes a snippet's five
frames from 15, and neighbouring snippets overlap; here the clip's N frames are cut into seven snippets of N/7.

The paper starts from a ResNet-18 trained on the stills of FER+. Ours starts from random weights: He normal (fan-out)
for convolutions, a truncated normal of 0.02 for the transformer.
"""

from types import MappingProxyType

from torch import Tensor, nn
from torch.nn import functional as F

from dfer.train.models.attention import Attention
from dfer.train.models.interface import NetworkInput, Scores, Source, Task
from dfer.train.models.resnet import CHANNELS
from dfer.train.models.transformers.snippets import SnippetConfig, SnippetNetwork

CLASSIFIER_DROPOUT = 0.4


class AttendedSnippet(nn.Module):
    """The attention-augmented snippet feature extractor (AA-SFE): frames (B, L, R) → snippet (B, R)."""

    def __init__(self, width: int, config: SnippetConfig) -> None:
        super().__init__()
        self.attention = Attention(width, config.heads, dropout=config.dropout)
        self.norm = nn.LayerNorm(width)

    def forward(self, frames: Tensor) -> Tensor:
        x = self.norm(frames + self.attention(frames))  # (B, L, R)
        likeness = F.cosine_similarity(x, x.amax(1, keepdim=True), dim=2)  # (B, L)
        weights = likeness.clamp(min=1e-8)[:, :, None]
        return (weights * x).sum(1) / weights.sum(1)


class EST(SnippetNetwork):
    """Frames to snippets to the clip, with a classifier of three layers."""

    source = Source(citation="Liu Y. et al. 2023, Pattern Recognition", parameters=43.0)
    parts = MappingProxyType(
        {
            "backbone": "ResNet-18, of each frame",
            "snippet": "attention among a snippet's frames, weighted mean",
            "transformer": "encoder and decoder over the snippets",
            "hidden": "two layers before the classifier",
            "head": "classifier",
            "order": "classifier of the snippets' order, for its loss",
        }
    )

    def __init__(self, config: SnippetConfig, task: Task) -> None:
        super().__init__(config, task, AttendedSnippet(CHANNELS, config))
        self.hidden = nn.Sequential(
            nn.Linear(CHANNELS, 128),
            nn.ReLU(inplace=True),
            nn.Linear(128, 64),
            nn.ReLU(inplace=True),
            nn.Dropout(CLASSIFIER_DROPOUT),
        )
        self.head = nn.Linear(64, task.classes)

    def forward(self, given: NetworkInput) -> Scores:
        """Score a batch of clips."""
        snippets, clip = self.encoded(given)
        return self.scored(self.head(self.hidden(clip)), snippets, clip)
