"""The processes of one training, started by `torchrun`. One process alone is a world of size 1."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn

from dfer.schemas.support.errors import UserError
from dfer.schemas.support.processes import job_signals_kill

VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class World:
    """The processes of a training.

    rank: of this process, 0…size−1; rank 0, the first, is the one that writes
    size: number of processes
    local_size: number of processes on this machine
    """

    rank: int = 0
    size: int = 1
    local_size: int = 1

    @property
    def first(self) -> bool:
        return self.rank == 0


@contextmanager
def join(device: torch.device) -> Iterator[World]:
    """Join the process group described by torchrun's variables: NCCL on CUDA, gloo elsewhere.

    A nested call yields the same group: torchrun's store supports only one.

    Raises UserError if the variables are incomplete.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1":
        yield World()
        return
    try:
        rank, size, _ = (int(os.environ[name]) for name in VARIABLES)
        world = World(rank=rank, size=size, local_size=int(os.environ.get("LOCAL_WORLD_SIZE", size)))
    except (KeyError, ValueError):
        raise UserError(
            f"{', '.join(VARIABLES)} are not set as torchrun sets them; start with torchrun, or unset WORLD_SIZE"
        ) from None
    if dist.is_initialized():
        yield world
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    # torchrun sends SIGTERM to processes that wait for a failed one; Python's handlers do not run during that wait.
    with job_signals_kill():
        # Gloo is needed on CUDA too, for what is on the CPU: sums of figures, predictions.
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    try:
        yield world
        dist.barrier()  # the first to leave would close the connections of the others
    finally:
        dist.destroy_process_group()


@contextmanager
def agreed(world: World) -> Iterator[None]:
    """Run a block that must succeed in all processes.

    If it raises UserError in any of them, the first process raises it, so that it is printed once, and the others
    exit silently. In the block no process may wait for another.
    """
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
    """Send the first process's value to all."""
    if world.size == 1:
        return value
    values = [value if world.first else None]
    dist.broadcast_object_list(values)
    return values[0]


def summed(tensor: torch.Tensor, world: World) -> torch.Tensor:
    """Sum a tensor over all processes, in place."""
    if world.size > 1:
        dist.all_reduce(tensor)
    return tensor


def gathered(value: Any, world: World) -> list[Any]:
    """Collect every process's value, by rank; numpy arrays and plain Python values only."""
    if world.size == 1:
        return [value]
    values: list[Any] = [None] * world.size
    dist.all_gather_object(values, value)
    return values


def share_buffers(network: nn.Module, world: World) -> None:
    """Copy the first process's batch-norm statistics to all."""
    if world.size > 1:
        for buffer in network.buffers():
            dist.broadcast(buffer, 0)


def any_of(flag: bool, world: World) -> bool:
    """Whether a flag is set in any process; all get the same answer."""
    return flag if world.size == 1 else bool(summed(torch.tensor([int(flag)]), world).item())


def wait(world: World) -> None:
    """Wait until all processes are here."""
    if world.size > 1:
        dist.barrier()
