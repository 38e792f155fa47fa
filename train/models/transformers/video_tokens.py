"""From frames to the tokens of Ma et al.'s STT and LOGO-Former: ResNet-18's map after stage 3, place by place.

Shapes: B clips, N frames, P places of a frame's map, R features of a token.
"""

from torch import Tensor, nn

from dfer.schemas.support.errors import UserError
from dfer.train.models.initial_weights import parameter, start_convolutions
from dfer.train.models.transformers.resnet_stages import MAP_CHANNELS, ResNetStages


class Positions(nn.Module):
    """Learned positions of T things, added to (…, T, R)."""

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.positions = parameter(count, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.positions


class VideoTokens(nn.Module):
    """(B, N, 3, H, W) → (B, N, P, R), with the positions of the places but not of the frames.

    width: R
    places: P, (H/16) · (W/16)
    """

    def __init__(self, width: int, places: int) -> None:
        super().__init__()
        self.backbone = ResNetStages(last=False)
        self.projection = nn.Conv2d(MAP_CHANNELS, width, 1)
        self.places = Positions(places, width)
        start_convolutions(self.projection)

    def forward(self, frames: Tensor) -> Tensor:
        x = self.backbone.first_stages(frames.flatten(0, 1))  # (B·N, 256, H/16, W/16)
        x = self.projection(x).flatten(2).transpose(1, 2)  # (B·N, P, R)
        return self.places(x).unflatten(0, frames.shape[:2])  # (B, N, P, R)


def head_size(width: int, heads: int) -> int:
    """Features of a head. Raises UserError if the width is not a multiple of the heads."""
    if width % heads:
        raise UserError(f"--width {width}: not a multiple of --heads {heads}")
    return width // heads
