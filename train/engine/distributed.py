"""The processes of one training, as `torchrun` starts them; one process is a world of its own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import distributed, nn

from dfer.schemas.support.errors import UserError
from dfer.schemas.support.processes import sigterm_kills

VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class World:
    """rank: 0…size−1, the first one writes; local_size: how many of the processes are on this machine."""

    rank: int = 0
    size: int = 1
    local_size: int = 1

    @property
    def first(self) -> bool:
        return self.rank == 0


@contextmanager
def join(device: torch.device) -> Iterator[World]:
    """Meet the other processes that torchrun's variables name; NCCL on CUDA, gloo elsewhere. Within such a block it
    is the same meeting: torchrun's store does not bear a second one."""
    if os.environ.get("WORLD_SIZE", "1") == "1":
        yield World()
        return
    try:
        rank, size, _ = (int(os.environ[name]) for name in VARIABLES)
        world = World(rank=rank, size=size, local_size=int(os.environ.get("LOCAL_WORLD_SIZE", size)))
    except (KeyError, ValueError):
        raise UserError(
            f"the variables {', '.join(VARIABLES)} are not those of torchrun; start with it"
        ) from None
    if distributed.is_initialized():
        yield world
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    # Gloo carries what lies on the CPU in either case: sums of figures, predictions.
    with (
        sigterm_kills()
    ):  # torchrun ends those that wait for a failed one, and a wait in torch runs no handlers
        distributed.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    try:
        yield world
        distributed.barrier()  # whoever leaves first takes the connections of the others along
    finally:
        distributed.destroy_process_group()


@contextmanager
def agreed(world: World) -> Iterator[None]:
    """A block that all processes pass, or none: where a UserError is raised in any, the first process raises it, so
    that it is said once, and the others end in silence. In the block no process may wait for another."""
    failure = None
    try:
        yield
    except UserError as error:
        if world.size == 1:
            raise
        failure = error
    failures = gathered(failure and str(failure), world)
    rank, reason = next(((rank, text) for rank, text in enumerate(failures) if text), (0, None))
    if reason is None:
        return
    if not world.first:
        raise SystemExit(1)
    raise failure or UserError(f"process {rank}: {reason}")


def from_first(value: T, world: World) -> T:
    """What the first process holds, on each."""
    if world.size == 1:
        return value
    values = [value if world.first else None]
    distributed.broadcast_object_list(values)
    return values[0]


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
