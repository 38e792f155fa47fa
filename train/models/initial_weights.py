"""Where the weights of the networks start, if not where PyTorch starts them."""

import torch
from torch import nn

SMALL = 0.02  # the deviation of a transformer's first weights


def start_convolutions(module: nn.Module, mode: str = "fan_out") -> None:
    """Draw the weights of all 2D and 3D convolutions from He's normal distribution; biases start at 0.

    mode: `fan_out`, or `fan_in`, which keeps the scale of the features where no norm does
    """
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Conv3d):
            nn.init.kaiming_normal_(part.weight, mode=mode, nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)


def start_linear(module: nn.Module) -> None:
    """Draw the weights of all linear layers from a truncated normal; biases start at 0."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.trunc_normal_(part.weight, std=SMALL)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


def parameter(*shape: int) -> nn.Parameter:
    """A class token or positions, drawn from a truncated normal."""
    return nn.Parameter(nn.init.trunc_normal_(torch.empty(shape), std=SMALL))
