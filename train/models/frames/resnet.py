"""ResNet-18 and ResNet-50 (He et al. 2016, CVPR), as backbones of other networks.

The stride of a bottleneck block is in its 3×3 convolution, as in torchvision; the paper has it in the first
1×1. The number of parameters is the same, and weights trained with torchvision fit.
"""

from torch import Tensor, nn

from dfer.train.models.keypoint.backbone import ResNet18

EXPANSION = 4  # a bottleneck block has four times as many channels outside as inside
RESNET50_BLOCKS = (3, 4, 6, 3)


class Bottleneck(nn.Module):
    """1×1, 3×3 and 1×1 convolutions and a shortcut, which is a 1×1 convolution where the shape changes.

    width: channels of the 3×3 convolution; EXPANSION times as many come out
    """

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = EXPANSION * width
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        return self.relu(self.bn3(self.conv3(x)) + shortcut)


class ResNet50(nn.Module):
    """Turn images (B, 3, H, W) into a map (B, outputs, H/32, W/32), with torchvision's parameter names.

    width: channels of the stem, 64 in ResNet-50; outputs = 32 · width
    start_as_shortcuts: whether the last norm of each block starts at zero (Goyal et al. 2017, Section 5.1)

    Convolutions start as torchvision's do (He normal, fan-out).
    """

    def __init__(self, width: int = 64, *, start_as_shortcuts: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        inputs = width
        for number, blocks in enumerate(RESNET50_BLOCKS, 1):
            inner = width * 2 ** (number - 1)
            first = Bottleneck(inputs, inner, stride=1 if number == 1 else 2)
            inputs = EXPANSION * inner
            others = [Bottleneck(inputs, inner, stride=1) for _ in range(blocks - 1)]
            self.add_module(f"layer{number}", nn.Sequential(first, *others))
        self.outputs = inputs
        start_convolutions(self)
        if start_as_shortcuts:
            for module in self.modules():
                if isinstance(module, Bottleneck):
                    nn.init.zeros_(module.bn3.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) → (B, 2048, H/32, W/32), rounded up."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))  # (B, 64, H/4, W/4)
        x = self.layer1(x)  # (B, 256, H/4, W/4)
        x = self.layer2(x)  # (B, 512, H/8, W/8)
        x = self.layer3(x)  # (B, 1024, H/16, W/16)
        return self.layer4(x)  # (B, 2048, H/32, W/32)


def start_convolutions(network: nn.Module) -> None:
    """Draw the weights of all 2D convolutions: He normal, fan-out."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def plain_resnet18() -> ResNet18:
    """ResNet-18 with the strides of He et al. 2016: (B, 3, H, W) → (B, 512, H/32, W/32)."""
    return ResNet18(stage_strides=(1, 2, 2, 2))
