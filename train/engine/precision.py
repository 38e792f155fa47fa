"""In which number format the network computes."""

from contextlib import AbstractContextManager, nullcontext

import torch

from dfer.schemas.support.errors import UserError

FORMATS = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def autocast(precision: str, device: torch.device) -> AbstractContextManager:
    """Products in `precision` (float32, bfloat16, float16); weights, norms and losses stay as they are."""
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, FORMATS[precision])


def gradient_scaler(precision: str, device: torch.device) -> torch.amp.GradScaler:
    """Keeps float16's small gradients from vanishing; does nothing in other formats."""
    return torch.amp.GradScaler(device.type, enabled=precision == "float16")


def check_precision(precision: str, device: torch.device) -> None:
    """Raises UserError where the device has no such format."""
    try:
        with autocast(precision, device):
            torch.nn.functional.linear(torch.ones(1, 1, device=device), torch.ones(1, 1, device=device)).cpu()
    except (RuntimeError, TypeError) as error:
        reason = str(error).split("\n")[0]
        raise UserError(f"--precision {precision} on {device}: {reason}; give float32") from None
