"""ResNet-18 (He et al. 2016) without its classifier, with torchvision's parameter names."""

from collections.abc import Sequence

from torch import Tensor, nn

CHANNELS = 512
STAGE_WIDTHS = (64, 128, 256, 512)


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut; the shortcut is a 1×1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(x)) + shortcut)


class ResNet18(nn.Module):
    """Turn images (B, 3, H, W) into a map (B, 512, h, w).

    stage_strides: of the four stages; the stem before them divides the size by 4. From 112 px, (1, 2, 1, 1) gives
        14×14 and (1, 2, 2, 2), the plain ResNet-18, 4×4

    The paper changes "the stride of last two convolution layers" for a larger map and prints no numbers: (1, 2, 1, 1)
    is our reading, (1, 2, 2, 1) another. It keeps ResNet's fully connected layer, whose output no equation uses; we
    drop it. It does not say how the weights start; ours start as torchvision's do (He normal, fan-out).
    """

    def __init__(self, stage_strides: Sequence[int] = (1, 2, 1, 1)) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        inputs = 64
        for number, (width, stride) in enumerate(zip(STAGE_WIDTHS, stage_strides, strict=True), 1):
            stage = nn.Sequential(BasicBlock(inputs, width, stride), BasicBlock(width, width, 1))
            self.add_module(f"layer{number}", stage)
            inputs = width
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) → (B, 512, h, w)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))  # (B, 64, H/4, W/4)
        x = self.layer1(x)  # (B, 64, …)
        x = self.layer2(x)  # (B, 128, …)
        x = self.layer3(x)  # (B, 256, …)
        return self.layer4(x)  # (B, 512, h, w)
