"""STT: attention over the places of a frame, then over the frames at a place, in each block of one transformer.

Ma, Sun and Li 2022, "Spatio-Temporal Transformer for Dynamic Facial Expression Recognition in the Wild", arXiv
2205.04749. Input there: 16 frames of 112 px, 49 tokens each. No parameter count is printed; ours is 19.8 M.

As far as published, and as far as we could read: we had the abstract, not the formulas. Sizes and order come from a
public MindSpore port of the same authors' LOGO-Former (pwc-1/paper1, folder Former), which has them as its defaults
and keeps STT's parts in comments: ResNet-18 without stage 4, 4 blocks, width 512, 8 heads, MLP of 4 times the width,
places before frames, the class token among the frames alone, dropout 0.2, tokens and positions from a truncated
normal of 0.02, one norm after the last block. Open: the formula and weight of the compact softmax cross-entropy (see
compact_loss.py). Ours: pre-norm blocks; at each place the class token attends to the frames there, and its updates
are averaged over the places, as in TimeSformer's public code with the two axes exchanged; no drop path. The backbone
starts from random weights, the authors' from MS-Celeb-1M.
"""

from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn

from dfer.schemas.support.settings import setting
from dfer.train.models.attention import Attention, mlp
from dfer.train.models.initial_weights import parameter, start_linear
from dfer.train.models.interface import NetworkInput, Scores, Source, Task
from dfer.train.models.settings import NetworkSettings
from dfer.train.models.transformers.compact_loss import WEIGHT, CompactNetwork
from dfer.train.models.transformers.resnet_stages import map_side
from dfer.train.models.transformers.video_tokens import Positions, VideoTokens, head_size


@dataclass(frozen=True, kw_only=True)
class SttConfig(NetworkSettings):
    """The sizes of STT and the weight of its loss."""

    width: int = setting(512, "features of a token", low=1, high=4096)
    depth: int = setting(4, "transformer blocks", low=1, high=100)
    heads: int = setting(8, "attention heads; the width is a multiple of them", low=1, high=100)
    mlp_width: int = setting(2048, "hidden units of the transformer's MLP", low=1, high=65536)
    dropout: float = setting(0.2, "dropout in the transformer", low=0, high=0.9)
    compact_weight: float = setting(WEIGHT, "weight of the compact loss; 0: off", low=0, high=100)


class SpaceTimeBlock(nn.Module):
    """Attention over places, attention over frames, MLP; each after a norm and added to its input.

    token (B, 1, R), x (B, N, P, R) → the same
    """

    def __init__(self, config: SttConfig) -> None:
        super().__init__()
        width, sizes = config.width, (config.width, config.heads, head_size(config.width, config.heads))
        self.space_norm = nn.LayerNorm(width)
        self.space = Attention(*sizes, bias=False, dropout=config.dropout)
        self.time_norm = nn.LayerNorm(width)
        self.time = Attention(*sizes, bias=False, dropout=config.dropout)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = mlp(width, config.mlp_width, nn.GELU(), config.dropout)

    def forward(self, token: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        clips, frames, places = x.shape[:3]
        x = x + self.space(self.space_norm(x).flatten(0, 1)).view_as(x)  # (B·N, P, R) inside

        tokens = token.unsqueeze(2).expand(-1, -1, places, -1)  # (B, 1, P, R)
        lines = torch.cat([tokens, x], dim=1).transpose(1, 2).flatten(0, 1)  # (B·P, 1 + N, R)
        mixed = self.time(self.time_norm(lines)).unflatten(0, (clips, places))  # (B, P, 1 + N, R)
        token = token + mixed[:, :, :1].mean(1)  # (B, 1, R)
        x = x + mixed[:, :, 1:].transpose(1, 2)  # (B, N, P, R)

        every = torch.cat([token, x.flatten(1, 2)], dim=1)  # (B, 1 + N·P, R)
        every = every + self.mlp(self.mlp_norm(every))
        return every[:, :1], every[:, 1:].unflatten(1, (frames, places))


class Stt(CompactNetwork):
    """STT (Ma et al. 2022). Raises UserError if the width is not a multiple of the heads."""

    Config = SttConfig
    source = Source(
        citation="Ma et al. 2022, arXiv 2205.04749",
        gaps="compact loss and the class token's part are ours, sizes from a port of LOGO-Former",
    )
    parts = MappingProxyType(
        {
            "tokens": "ResNet-18 up to stage 3, projection, positions of the places",
            "frames": "positions of the class token and the frames",
            "blocks": "attention over places, then over frames, then an MLP",
            "norm": "norm after the last block",
            "head": "linear layer to the classes",
        }
    )

    def __init__(self, config: SttConfig, task: Task) -> None:
        super().__init__(task, config.compact_weight)
        self.tokens = VideoTokens(config.width, places=map_side(task.image_size) ** 2)
        self.token = parameter(1, 1, config.width)
        self.frames = Positions(1 + task.num_frames, config.width)
        self.blocks = nn.ModuleList(SpaceTimeBlock(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, task.classes)
        start_linear(self)

    def forward(self, given: NetworkInput) -> Scores:
        x = self.tokens(given.frames)  # (B, N, P, R)
        tokens = self.token.unsqueeze(2).expand(x.shape[0], -1, x.shape[2], -1)  # (B, 1, P, R)
        x = torch.cat([tokens, x], dim=1).transpose(1, 2)  # (B, P, 1 + N, R)
        x = self.frames(x).transpose(1, 2)  # (B, 1 + N, P, R)
        token, x = x[:, :1, 0], x[:, 1:]  # (B, 1, R), (B, N, P, R)
        for block in self.blocks:
            token, x = block(token, x)
        return Scores(clip=self.head(self.norm(token[:, 0])))
