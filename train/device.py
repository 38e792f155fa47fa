"""Where the network runs."""

import os

import torch

from schemas.errors import UserError


def choose_device(name: str) -> torch.device:
    """`auto`: CUDA, else Apple's MPS, else the CPU; otherwise the device that is named. Of several processes on a
    machine (torchrun) each takes the GPU of its local rank.

    Raises UserError where torch does not know it or this machine does not have it.
    """
    try:
        device = _own(torch.device(_best() if name == "auto" else name))
        torch.empty(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).split("\n")[0]
        raise UserError(f"--device {name}: {reason}; give auto, cpu, cuda or mps") from None
    return device


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
        raise UserError(f"--device {device}: all processes would share it; give cuda, each takes its own")
    return device
