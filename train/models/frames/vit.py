"""ViT-B/16 (Dosovitskiy et al. 2021, ICLR) on each frame, averaged over the frames or read by an LSTM.

Baselines of MAFW (Liu Y. et al. 2022, ACM MM). Its "VIT" takes five frames of 224 px and fuses their
predicted probabilities; "VIT_LSTM" reads all frames of a clip, 224 px.

Left open by MAFW: which ViT, the LSTM's size, optimiser, epochs and initial weights. ViT-B/16 has 85.8 M
parameters with 7 classes; Sun et al. 2024 (SVFAP) print 86 M for MAFW's ViT, as Dosovitskiy et al. do for
ViT-B. The LSTM here is one layer of 512 units whose last output is classified.

Dosovitskiy et al. print the pre-norm blocks (Eqs. 1–4, Table 1); the norms' epsilon of 1e-6 is their public
code's. There is a linear classifier on the class token and no dropout, as in their fine-tuning.

Weights start at random, from a truncated normal of 0.02. Dosovitskiy et al. find that a ViT trained from
scratch on little data is behind a ResNet, so expect little of it without pre-training.
"""

from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn

from dfer.schemas.support.errors import UserError
from dfer.schemas.support.settings import setting
from dfer.train.models.attention import Attention, Block, mlp
from dfer.train.models.frames.frame_vectors import average_setting, averaged
from dfer.train.models.initial_weights import SMALL, parameter, start_linear
from dfer.train.models.interface import ClipNetwork, NetworkInput, Scores, Source, Task
from dfer.train.models.recurrent import Recurrence
from dfer.train.models.settings import NetworkSettings

EPSILON = 1e-6  # of the layer norms


@dataclass(frozen=True, kw_only=True)
class VitConfig(NetworkSettings):
    """The size of the ViT, and how frames are combined. The defaults are ViT-B/16."""

    patch: int = setting(16, "side of a patch, pixels", low=1, high=1024)
    width: int = setting(768, "features of a patch", low=1, high=65536)
    depth: int = setting(12, "transformer blocks", low=1, high=100)
    heads: int = setting(12, "attention heads", low=1, high=100)
    mlp_width: int = setting(3072, "hidden units of the transformer's MLP", low=1, high=65536)
    temporal: str = setting("mean", "how the frames of a clip are combined", choices=("mean", "lstm"))
    average: str = average_setting()
    units: int = setting(512, "units of the LSTM", low=1, high=65536)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width % self.heads:
            raise UserError(f"--heads {self.heads}: must divide --width {self.width}")
        if self.temporal == "lstm" and self.average != "scores":
            raise UserError(f"--average {self.average} needs --temporal mean")


def vit_block(config: VitConfig) -> Block:
    """Attention, then an MLP, each after a norm and added to its input (Eqs. 2 and 3)."""
    attention = Attention(config.width, config.heads)
    return Block(attention, mlp(config.width, config.mlp_width, nn.GELU()), eps=EPSILON)


class Vit(nn.Module):
    """Turn images (B, 3, H, W) into vectors (B, C), the class tokens after the last block.

    image_size: H and W, a multiple of the patch; the learned positions are made for it
    """

    def __init__(self, config: VitConfig, image_size: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, config.width, config.patch, stride=config.patch)
        self.blocks = nn.Sequential(*(vit_block(config) for _ in range(config.depth)))
        self.norm = nn.LayerNorm(config.width, eps=EPSILON)
        self.token = parameter(1, 1, config.width)
        self.positions = parameter(1, (image_size // config.patch) ** 2 + 1, config.width)
        nn.init.trunc_normal_(self.patches.weight, std=SMALL)
        nn.init.zeros_(self.patches.bias)
        start_linear(self)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) → (B, C)."""
        x = self.patches(x).flatten(2).transpose(1, 2)  # (B, places, C)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1) + self.positions  # Eq. 1
        return self.norm(self.blocks(x)[:, 0])  # Eq. 4


class VitFrames(ClipNetwork):
    """Turn each frame into a vector with a ViT; average the frames' scores, or read the vectors with an LSTM.

    Raises UserError if patches do not fill the image.
    """

    Config = VitConfig
    source = Source(
        citation="Dosovitskiy et al. 2021, ICLR; on frames as in Liu Y. et al. 2022, ACM MM (MAFW)",
        gaps="which ViT; the LSTM's size; optimiser and epochs; initial weights",
    )
    parts = MappingProxyType(
        {
            "backbone": "ViT, frame by frame",
            "recurrence": "LSTM over the frames; nothing if they are averaged",
            "head": "linear classifier",
        }
    )

    def __init__(self, config: VitConfig, task: Task) -> None:
        super().__init__(task)
        if task.image_size % config.patch:
            raise UserError(
                f"--image-size {task.image_size}: ViT needs a multiple of its patch, --patch {config.patch}"
            )
        self.backbone = Vit(config, task.image_size)
        self.recurrence = nn.Identity()
        width = config.width
        if config.temporal == "lstm":
            self.recurrence = Recurrence(width, config.units)
            width = config.units
        self.head = nn.Linear(width, task.classes)
        start_linear(self.head)
        self.average = config.average

    def forward(self, given: NetworkInput) -> Scores:
        vectors = self.backbone(given.frames.flatten(0, 1))  # (B·N, C)
        vectors = vectors.unflatten(0, given.frames.shape[:2])  # (B, N, C)
        scores = self.head(self.recurrence(vectors))  # (B, classes) after an LSTM, else (B, N, classes)
        return Scores(averaged(scores, self.average) if scores.ndim == 3 else scores)
