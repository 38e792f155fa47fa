"""Stored clips to batches of uint8 frames: JPEG decoding, in worker processes where that pays."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from dfer.schemas.support import processes
from dfer.schemas.support.errors import UserError
from dfer.train.data.dataset import READ_AHEAD, Batch, ClipDataset, Request

LAST_SECONDS = 300  # that a worker lives on after SIGTERM


class _Plan:
    """A batch sampler: whatever batches it was last given."""

    def __init__(self) -> None:
        self.batches: Iterable[Sequence[Request]] = ()

    def __iter__(self) -> Iterator[Sequence[Request]]:
        return iter(self.batches)


class Loader:
    """Batches of a dataset, by the same worker processes again and again (0: in this process)."""

    def __init__(self, dataset: ClipDataset, workers: int, device: torch.device) -> None:
        self.dataset = dataset
        self._plan = _Plan()
        self._loader = DataLoader(
            dataset,
            batch_sampler=self._plan,
            num_workers=workers,
            collate_fn=_as_it_is,
            persistent_workers=workers > 0,
            prefetch_factor=READ_AHEAD if workers else None,
            # Forking a process that runs threads (polars, torch) can hang the child.
            multiprocessing_context="spawn" if workers else None,
            pin_memory=device.type == "cuda",
            worker_init_fn=_prepare_worker,
        )
        self._pins = device.type == "cuda"

    def batches(self, plan: Iterable[Sequence[Request]]) -> Iterator[Batch]:
        """The batches that the plan names, read ahead in the workers; each is valid until the next is asked for.

        Raises UserError for a damaged clip.
        """
        self._plan.batches = plan
        with processes.signals_blocked(*processes.STOP_SIGNALS):
            batches = iter(self._loader)
        for batch in batches:
            if isinstance(batch, UserError):
                self.close()
                raise batch
            yield Batch(*(_tensor(part, self._pins) for part in batch))

    def close(self) -> None:
        """End the worker processes now. Whoever drops a loader need not: they end with it."""
        # torch has no public way, and until its iterator is collected they would only be ended by force.
        iterator = getattr(self._loader, "_iterator", None)
        if iterator is not None:
            iterator._shutdown_workers()


def _prepare_worker(_worker: int) -> None:
    """Let a worker process end when its run does, and not before."""
    # torch's own watch of the parent's number begins after a second of imports: too late for a run killed by then.
    processes.end_with_parent()
    # A signal to the group: the run ends its step and saves it, for which it needs its workers.
    processes.ignore_stop_signals(LAST_SECONDS)


def _tensor(part: Tensor | np.ndarray | None, pin: bool) -> Tensor | None:
    if not isinstance(part, np.ndarray):
        return part  # torch's loader pins tensors
    tensor = torch.from_numpy(part)
    return tensor.pin_memory() if pin else tensor


def _as_it_is(batch: Batch | UserError) -> Batch | UserError:
    return batch
