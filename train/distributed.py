"""The processes of one training, as `torchrun` starts them; one process is a world of its own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed, nn

from schemas.errors import UserError


@dataclass(frozen=True, kw_only=True)
class World:
    """rank: 0…size−1, the first one writes; local_rank: among the processes of this machine."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def first(self) -> bool:
        return self.rank == 0


@contextmanager
def join(device: torch.device) -> Iterator[World]:
    """Meet the other processes that torchrun's variables name; NCCL on CUDA, gloo elsewhere."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    if os.environ.get("WORLD_SIZE", "1") == "1":
        yield World()
        return
    try:
        rank, size, local = (int(os.environ[name]) for name in names)
    except (KeyError, ValueError):
        raise UserError(
            f"the variables {', '.join(names)} are not those of torchrun; start with it"
        ) from None
    if device.type == "cuda":
        torch.cuda.set_device(device)
    # Gloo carries what lies on the CPU in either case: sums of figures, predictions.
    distributed.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    try:
        yield World(rank=rank, size=size, local_rank=local)
    finally:
        distributed.destroy_process_group()


def own_device(device: torch.device) -> torch.device:
    """The device of this process: with several processes, each takes the GPU of its local rank."""
    if device.type == "cuda" and device.index is None and "LOCAL_RANK" in os.environ:
        return torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    return device


def summed(tensor: torch.Tensor, world: World) -> torch.Tensor:
    """The sum of a tensor over all processes, on each."""
    if world.size > 1:
        distributed.all_reduce(tensor)
    return tensor


def gathered(value: Any, world: World) -> list[Any]:
    """The values of all processes by rank, on each; numpy arrays and plain Python only."""
    if world.size == 1:
        return [value]
    values: list[Any] = [None] * world.size
    distributed.all_gather_object(values, value)
    return values


def share_buffers(network: nn.Module, world: World) -> None:
    """Give all processes the first one's batch-norm statistics."""
    if world.size > 1:
        for buffer in network.buffers():
            distributed.broadcast(buffer, 0)


def any_of(flag: bool, world: World) -> bool:
    """Whether a flag is set in any process; the same answer in all."""
    return flag if world.size == 1 else bool(summed(torch.tensor([int(flag)]), world).item())


def wait(world: World) -> None:
    """Until all processes are here."""
    if world.size > 1:
        distributed.barrier()
