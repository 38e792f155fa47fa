"""Buffers for the frames of batches, which worker processes share with their parent."""

import math
import os

import torch
from torch import Tensor
from torch.utils.data import get_worker_info

READ_AHEAD = 2  # batches that each worker process keeps ready


class FrameMemory:
    """Buffers for frames. A worker uses a few shared ones in turn: no copy to the parent, no new pages to touch.

    Touching new shared pages takes half as long as decoding the JPEGs that fill them.
    """

    def __init__(self) -> None:
        # One for each batch that waits, and the one in use.
        self._buffers = [torch.empty(0, dtype=torch.uint8)] * (READ_AHEAD + 1)
        self._taken = 0

    def take(self, shape: tuple[int, ...]) -> Tensor:
        """An uninitialised uint8 tensor of this shape."""
        if get_worker_info() is None:
            return torch.empty(shape, dtype=torch.uint8)
        turn, size = self._taken % len(self._buffers), math.prod(shape)
        self._taken += 1
        if len(self._buffers[turn]) < size:
            self._buffers[turn] = _shared(size)
        return self._buffers[turn][:size].view(shape)


def _shared(size: int) -> Tensor:
    """Bytes (size,) uint8 that another process can map.

    torch takes them from /dev/shm, which is 64 MB in most containers: a worker that writes beyond it is killed by a
    bus error. Memory from memfd_create has no such limit.
    """
    if not hasattr(os, "memfd_create"):  # not Linux
        return torch.empty(size, dtype=torch.uint8).share_memory_()
    descriptor = os.memfd_create("dfer-frames")
    try:
        os.truncate(descriptor, size)
        storage = torch.UntypedStorage._new_shared_fd_cpu(
            descriptor, size
        )  # it keeps a descriptor of its own
    finally:
        os.close(descriptor)
    return torch.empty(0, dtype=torch.uint8).set_(storage)
