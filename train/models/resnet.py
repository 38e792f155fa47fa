"""ResNet-18 and ResNet-50 (He et al. 2016, CVPR) without their classifiers, with torchvision's parameter names.

The stride of a bottleneck block is in its 3×3 convolution, as in torchvision; the paper has it in the first 1×1. The
number of parameters is the same, and weights trained with torchvision fit.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from dfer.train.models.initial_weights import start_convolutions

CHANNELS = 512  # of ResNet-18's last map
STAGE_WIDTHS = (64, 128, 256, 512)  # of ResNet-18's four maps
EXPANSION = 4  # a bottleneck block has four times as many channels outside as inside


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut; the shortcut is a 1×1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _downsample(inputs, outputs, stride)
        self.outputs = outputs

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(x)) + shortcut)


class Bottleneck(nn.Module):
    """1×1, 3×3 and 1×1 convolutions and a shortcut, which is a 1×1 convolution where the shape changes.

    width: channels of the 3×3 convolution; EXPANSION times as many come out
    """

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.outputs = EXPANSION * width
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, self.outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(self.outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _downsample(inputs, self.outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        return self.relu(self.bn3(self.conv3(x)) + shortcut)


class ResNet(nn.Module):
    """A stem and four stages of residual blocks: images (B, 3, H, W) → (B, outputs, h, w).

    block: BasicBlock or Bottleneck
    blocks: in each stage
    widths: of the blocks of each stage; the stem has as many channels as the first
    strides: of each stage; the stem before them divides the size by 4

    Convolutions start as torchvision's do (He normal, fan-out).
    """

    def __init__(
        self,
        block: type[BasicBlock | Bottleneck],
        blocks: Sequence[int],
        widths: Sequence[int],
        strides: Sequence[int] = (1, 2, 2, 2),
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths[0], 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        inputs = widths[0]
        for number, (count, width, stride) in enumerate(zip(blocks, widths, strides, strict=True), start=1):
            stage = []
            for index in range(count):
                stage.append(block(inputs, width, 1 if index else stride))
                inputs = stage[-1].outputs
            self.add_module(f"layer{number}", nn.Sequential(*stage))
        self.outputs = inputs
        start_convolutions(self)

    def stem(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) → (B, width, H/4, W/4)."""
        return self.maxpool(self.relu(self.bn1(self.conv1(x))))

    def maps(self, x: Tensor) -> list[Tensor]:
        """The maps (B, C, h, w) after each stage, from images (B, 3, H, W)."""
        maps = [self.layer1(self.stem(x))]
        for stage in (self.layer2, self.layer3, self.layer4):
            maps.append(stage(maps[-1]))
        return maps

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) → (B, outputs, h, w)."""
        x = self.layer1(self.stem(x))
        return self.layer4(self.layer3(self.layer2(x)))


class ResNet18(ResNet):
    """Turn images (B, 3, H, W) into a map (B, 512, h, w), by default (B, 512, H/32, W/32), rounded up.

    strides: of the four stages. From 112 px, (1, 2, 1, 1) gives 14×14 and the plain ResNet-18 4×4
    widths: channels of the four stages; the last is that of the map
    """

    def __init__(self, strides: Sequence[int] = (1, 2, 2, 2), widths: Sequence[int] = STAGE_WIDTHS) -> None:
        super().__init__(BasicBlock, (2, 2, 2, 2), widths, strides)


class ResNet50(ResNet):
    """Turn images (B, 3, H, W) into a map (B, outputs, H/32, W/32), rounded up.

    width: channels of the stem, 64 in ResNet-50, doubled from stage to stage; outputs = 32 · width
    start_as_shortcuts: whether the last norm of each block starts at zero (Goyal et al. 2017, Section 5.1)
    """

    def __init__(self, width: int = 64, *, start_as_shortcuts: bool = False) -> None:
        super().__init__(Bottleneck, (3, 4, 6, 3), [width * 2**stage for stage in range(4)])
        if start_as_shortcuts:
            for module in self.modules():
                if isinstance(module, Bottleneck):
                    nn.init.zeros_(module.bn3.weight)


def _downsample(inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
    """The shortcut where the shape changes."""
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
