"""ResNet-18 in two halves, for networks that put something between its stages or leave out the last one."""

from torch import Tensor

from dfer.train.models.resnet import ResNet18

SHRINKS = 16  # how much smaller the map of stage 3 is than the image; stage 4 halves it once more
MAP_CHANNELS = 256


def map_side(image_size: int, shrinks: int = SHRINKS) -> int:
    """The side of the map from an image of this side: every layer of stride 2 rounds up."""
    return -(-image_size // shrinks)


class ResNetStages(ResNet18):
    """ResNet-18. last: whether it has stage 4."""

    def __init__(self, last: bool = True) -> None:
        super().__init__()
        if not last:
            del self.layer4

    def first_stages(self, x: Tensor) -> Tensor:
        """Stem and stages 1 to 3: (B, 3, H, W) → (B, 256, H/16, W/16)."""
        return self.layer3(self.layer2(self.layer1(self.stem(x))))

    def last_stage(self, x: Tensor) -> Tensor:
        """Stage 4: (B, 256, h, w) → (B, 512, h/2, w/2)."""
        return self.layer4(x)
