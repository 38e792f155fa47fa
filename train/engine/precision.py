"""The number format that the network computes in."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

from dfer.schemas.support.errors import UserError

FORMATS = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def autocast(precision: str, device: torch.device) -> AbstractContextManager:
    """Compute matrix products and convolutions in `precision`; weights, norms and losses stay in float32."""
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, FORMATS[precision])


def gradient_scaler(precision: str, device: torch.device) -> torch.amp.GradScaler:
    """A scaler that keeps small float16 gradients from vanishing; it does nothing in other formats."""
    return torch.amp.GradScaler(device.type, enabled=precision == "float16")


def check_precision(precision: str, device: torch.device) -> None:
    """Raises UserError if the device does not support the format."""
    try:
        with autocast(precision, device):
            torch.nn.functional.linear(torch.ones(1, 1, device=device), torch.ones(1, 1, device=device)).cpu()
    except (RuntimeError, TypeError) as error:
        reason = str(error).split("\n")[0]
        raise UserError(f"--precision {precision} on {device}: {reason}; use float32") from None


def check_gradients(network: nn.Module, precision: str, device: torch.device) -> None:
    """Raises UserError if the network's gradients would be wrong in this format.

    torch 2.13 gets weight gradients of 3D convolutions over one or two frames wrong in bfloat16 on a CPU, by all of
    their size or up to infinity (tests/benchmarks/conv3d_gradients.py). Predictions are right.
    """
    volumes = any(isinstance(module, nn.Conv3d) for module in network.modules())
    if precision == "bfloat16" and device.type == "cpu" and volumes:
        raise UserError(
            f"--precision bfloat16 on {device}: torch gets gradients of this network's 3D convolutions wrong; "
            "use float32"
        )
