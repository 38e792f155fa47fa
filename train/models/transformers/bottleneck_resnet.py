"""ResNet-50 (He et al. 2016) without its classifier: images to a map of 2048 channels.

The stride of a stage is in the 3×3 convolution of its first block, as in torchvision. Convolutions start as
torchvision's do (He normal, fan-out), and the last norm of each block at zero (Goyal et al. 2017, Section 5.1): from
ones, the gradient of a new network was 60 times as long, and its loss rose in the first steps.
"""

from torch import Tensor, nn

BLOCKS = (3, 4, 6, 3)  # of the four stages
EXPANSION = 4


class Bottleneck(nn.Module):
    """1×1, 3×3 and 1×1 convolutions and a shortcut; the shortcut is a 1×1 convolution where the shape changes."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = EXPANSION * width
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        nn.init.zeros_(self.bn3.weight)
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
    """Turn images (B, 3, H, W) into a map (B, outputs, H/32, W/32).

    width: channels of the stem and of the first stage's inner convolutions, 64 in ResNet-50; outputs = 32 · width
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        inputs = width
        for number, blocks in enumerate(BLOCKS, 1):
            inner, stride = width * 2 ** (number - 1), 1 if number == 1 else 2
            stage = nn.Sequential()
            for _ in range(blocks):
                stage.append(Bottleneck(inputs, inner, stride))
                inputs, stride = EXPANSION * inner, 1
            self.add_module(f"layer{number}", stage)
        self.outputs = inputs
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) → (B, 2048, H/32, W/32), rounded up."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))  # (B, 64, H/4, W/4)
        x = self.layer1(x)  # (B, 256, H/4, W/4)
        x = self.layer2(x)  # (B, 512, H/8, W/8)
        x = self.layer3(x)  # (B, 1024, H/16, W/16)
        return self.layer4(x)  # (B, 2048, H/32, W/32)
