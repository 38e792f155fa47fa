"""The device that the network runs on."""

import os

import torch

from dfer.schemas.support.errors import UserError

KINDS = ("cpu", "cuda", "mps")  # torch knows more; these are supported


def choose_device(name: str) -> torch.device:
    """Return the named device; `auto` is CUDA, else Apple's MPS, else the CPU.

    Under torchrun each process takes the GPU of its local rank.
    Raises UserError if the device is unknown, missing or not working.
    """
    try:
        device = torch.device(_best() if name == "auto" else name)
    except RuntimeError:
        device = None
    if device is None or device.type not in KINDS:
        raise UserError(f"--device {name}: unknown device; give auto, cpu, cuda or mps")
    device = _own(device)
    if (device.index or 0) >= _count(device.type):
        raise UserError(f"--device {name}: this machine has no {device}; give auto or cpu")
    try:
        torch.empty(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # present, but its driver fails
        reason = str(error).split("\n")[0]
        raise UserError(f"--device {name}: {reason}; give auto or cpu") from None
    return device


def _count(kind: str) -> int:
    """Number of devices of a kind on this machine."""
    if kind == "cuda":
        return torch.cuda.device_count()
    return int(kind == "cpu" or torch.backends.mps.is_available())


def _best() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _own(device: torch.device) -> torch.device:
    if device.type != "cuda" or "LOCAL_RANK" not in os.environ:
        return device
    if device.index is None:
        return torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    if int(os.environ.get("LOCAL_WORLD_SIZE", "1")) > 1:
        raise UserError(
            f"--device {device}: all processes would share it; give cuda to use one GPU per process"
        )
    return device
