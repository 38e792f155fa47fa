"""What EST and T-ESFL share: a clip as snippets, an encoder and decoder over them, and the task to find their order.

S snippets of L consecutive frames each, R features (512).
"""

import math
import random
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dfer.schemas.support.errors import UserError
from dfer.schemas.support.settings import setting
from dfer.train.models.attention import Attention, Block, mlp
from dfer.train.models.frames.frame_vectors import frame_vectors
from dfer.train.models.initial_weights import parameter, start_linear
from dfer.train.models.interface import NOTHING, ClipNetwork, NetworkInput, Scores, Task
from dfer.train.models.resnet import CHANNELS, ResNet18
from dfer.train.models.segments import segment_frames
from dfer.train.models.settings import NetworkSettings


@dataclass(frozen=True, kw_only=True)
class SnippetConfig(NetworkSettings):
    """Settings of EST and T-ESFL."""

    snippets: int = setting(7, "snippets of a clip", low=1, high=1000)
    depth: int = setting(3, "blocks of the encoder and of the decoder", low=1, high=100)
    heads: int = setting(4, "attention heads; they divide 512", low=1, high=512)
    mlp_width: int = setting(2048, "hidden units of the MLP in a block", low=1, high=65536)
    dropout: float = setting(0.1, "dropout in the blocks", low=0, high=0.99)
    orders: int = setting(10, "orders of snippets that the network learns to tell apart", low=1, high=1000)

    def __post_init__(self) -> None:
        super().__post_init__()
        if CHANNELS % self.heads:
            raise UserError(f"--heads {self.heads}: must divide {CHANNELS}, the features of a frame")


def block(width: int, config: SnippetConfig, *, cross: bool) -> Block:
    """A block of the first transformer: layer norm after each sum, ReLU. cross: whether it is a decoder's"""

    def attention() -> Attention:
        return Attention(width, config.heads, dropout=config.dropout)

    return Block(
        attention(),
        mlp(width, config.mlp_width, nn.ReLU(inplace=True), config.dropout),
        cross=attention() if cross else None,
        norm_first=False,
    )


class SnippetTransformer(nn.Module):
    """Encode the snippets with their positions; one learned query reads them: (B, S, R) → (B, R).

    Positions are sines and cosines. Encoder and decoder end in a layer norm.
    """

    def __init__(self, width: int, config: SnippetConfig) -> None:
        super().__init__()
        self.encoder = nn.ModuleList(block(width, config, cross=False) for _ in range(config.depth))
        self.decoder = nn.ModuleList(block(width, config, cross=True) for _ in range(config.depth))
        self.encoder_norm, self.decoder_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.register_buffer("places", sinusoids(config.snippets, width), persistent=False)
        start_linear(self)
        self.token = parameter(1, 1, width)  # the query

    def forward(self, snippets: Tensor) -> Tensor:
        memory = snippets + self.places  # (B, S, R)
        for block in self.encoder:
            memory = block(memory)
        memory = self.encoder_norm(memory)
        # A copy: torch's counter of multiply-adds refuses a view of a weight as a module's input.
        x = self.token.repeat(snippets.shape[0], 1, 1)  # (B, 1, R)
        for block in self.decoder:
            x = block(x, memory=memory)
        return self.decoder_norm(x)[:, 0]


class SnippetOrder(nn.Module):
    """Learn to tell in which of some orders the snippets were shuffled, which needs features of their movement.

    The orders are drawn at random once, the same for every network. Each clip is shuffled into one of them.

    snippets: S
    orders: number of orders; S! if that is less
    """

    def __init__(self, width: int, snippets: int, orders: int) -> None:
        super().__init__()
        self.orders = min(orders, math.factorial(snippets))
        chosen = random_orders(snippets, self.orders)
        shuffles = F.one_hot(
            torch.tensor(chosen), snippets
        ).float()  # (orders, S, S), row: the snippet put there
        self.register_buffer("shuffles", shuffles, persistent=False)
        self.classifier = nn.Sequential(
            *_hidden(snippets * width, 4 * width),
            *_hidden(4 * width, width),
            nn.Linear(width, self.orders),
        )

    def forward(self, snippets: Tensor, clip: Tensor) -> Tensor:
        """Cross-entropy of the order of each clip.

        snippets: (B, S, R), not trained by this loss
        clip: (B, R), the decoder's output, which is added to every snippet

        Returns (B,).
        """
        # Batch norm needs two values, so a clip that is alone in its batch is shuffled twice.
        shape = (len(clip), 2 if len(clip) == 1 else 1)
        order = torch.randint(self.orders, shape, device=clip.device)  # (B, D)
        features = snippets.detach() + clip[:, None]  # (B, S, R)
        # A product with the shuffle, not an index, whose gradient would be summed in no fixed order on a GPU.
        shuffles = self.shuffles[order].to(features.dtype)  # (B, D, S, S)
        shuffled = shuffles @ features[:, None]  # (B, D, S, R)
        scores = self.classifier(shuffled.flatten(2).flatten(0, 1))  # (B·D, orders)
        losses = F.cross_entropy(scores.float(), order.flatten(), reduction="none")
        return losses.view_as(order).mean(1)


class SnippetNetwork(ClipNetwork):
    """ResNet-18 on each frame, snippets from its frames, the transformer over snippets, a classifier.

    A subclass sets `snippet`, which turns a snippet's frames (·, L, R) into one vector (·, R).
    """

    Config = SnippetConfig

    def __init__(self, config: SnippetConfig, task: Task, snippet: nn.Module) -> None:
        super().__init__(task)
        self.order_weight = 1 / config.snippets
        segments = segment_frames(task.num_frames, config.snippets)
        self.register_buffer("segments", torch.tensor(segments), persistent=False)  # (S, L)
        self.backbone = ResNet18()
        self.snippet = snippet
        self.transformer = SnippetTransformer(CHANNELS, config)
        self.order = SnippetOrder(CHANNELS, config.snippets, config.orders)

    @property
    def loss_weights(self) -> dict[str, float]:
        """The order counts 1/S."""
        return {"clip": 1.0, "order": self.order_weight}

    def encoded(self, given: NetworkInput) -> tuple[Tensor, Tensor]:
        """The snippets (B, S, R) and the clip (B, R)."""
        vectors = frame_vectors(self.backbone, given.frames)  # (B, N, R)
        parts = vectors[:, self.segments]  # (B, S, L, R)
        snippets = self.snippet(parts.flatten(0, 1)).unflatten(0, parts.shape[:2])  # (B, S, R)
        return snippets, self.transformer(snippets)

    def scored(self, scores: Tensor, snippets: Tensor, clip: Tensor) -> Scores:
        """The clip's scores (B, classes); in training also the loss of the order."""
        return Scores(scores, penalties={"order": self.order(snippets, clip)} if self.training else NOTHING)


def sinusoids(places: int, width: int) -> Tensor:
    """Sines and cosines of each place at wavelengths from 2π to 10 000 · 2π: (places, width)."""
    waves = 10_000 ** -(torch.arange(width) // 2 * 2 / width)  # (width,)
    angles = torch.arange(places)[:, None] * waves
    return torch.where(torch.arange(width) % 2 == 0, angles.sin(), angles.cos())


def random_orders(snippets: int, count: int) -> list[list[int]]:
    """Draw different orders of the snippets; the same in every call."""
    source, drawn = random.Random(0), set()
    while len(drawn) < count:
        drawn.add(tuple(source.sample(range(snippets), snippets)))
    return [list(order) for order in sorted(drawn)]


def _hidden(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU(inplace=True)]
