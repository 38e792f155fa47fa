"""Load batches of clips, decoding JPEGs in worker processes if asked to."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from dfer.schemas.support import processes
from dfer.schemas.support.errors import UserError
from dfer.train.data.dataset import Batch, ClipDataset, Request
from dfer.train.data.frame_memory import READ_AHEAD

LAST_SECONDS = 300  # how long a worker lives after SIGTERM


class Loader:
    """Batches of a dataset, always from the same worker processes (0 workers: from this process)."""

    def __init__(self, dataset: ClipDataset, workers: int, device: torch.device) -> None:
        """Raises UserError if this machine cannot run the workers."""
        if workers:
            processes.require_locks(workers)
        self.dataset = dataset
        self._plan = _Plan()
        self._pins = device.type == "cuda"
        self._loader = DataLoader(
            dataset,
            batch_sampler=self._plan,
            num_workers=workers,
            collate_fn=_unchanged,
            persistent_workers=workers > 0,
            prefetch_factor=READ_AHEAD if workers else None,
            # Forking a process that runs threads (polars, torch) can hang the child.
            multiprocessing_context="spawn" if workers else None,
            pin_memory=self._pins,
            worker_init_fn=_prepare_worker,
            # Starting to load draws a number. Not from torch's own generator, whose numbers dropout takes.
            generator=torch.Generator(),
        )

    def batches(self, plan: Iterable[Sequence[Request]]) -> Iterator[Batch]:
        """Load the planned batches, reading ahead in the workers. Each is valid until the next is asked for.

        Raises UserError for a damaged clip.
        """
        self._plan.batches = plan
        with processes.safe_import_path(), processes.signals_blocked(*processes.STOP_SIGNALS):
            batches = iter(self._loader)
        for batch in batches:
            if isinstance(batch, UserError):
                self.close()
                raise batch
            yield Batch(*(_tensor(part, self._pins) for part in batch))

    def close(self) -> None:
        """End the worker processes now instead of when the loader is garbage-collected."""
        # torch has no public way to do this, and collecting its iterator kills them.
        iterator = getattr(self._loader, "_iterator", None)
        if iterator is not None:
            iterator._shutdown_workers()


@contextmanager
def worker_deaths_explained() -> Iterator[None]:
    """Turn torch's error about a dead worker process into a UserError.

    torch raises it wherever this process is at that moment: the block should have all use of a loader.
    """
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        raise UserError(
            "a process that decodes JPEGs was killed, probably because memory ran out; give fewer --loader-workers "
            "(0 needs none), or more memory"
        ) from error


class _Plan:
    """A batch sampler that yields whatever batches it was last given."""

    def __init__(self) -> None:
        self.batches: Iterable[Sequence[Request]] = ()

    def __iter__(self) -> Iterator[Sequence[Request]]:
        return iter(self.batches)


def _prepare_worker(_worker: int) -> None:
    """Make a worker end when its run ends, and not earlier."""
    # torch watches the parent too, but only after a second of imports: too late for a run killed before that.
    processes.end_with_parent()
    # On a signal to the whole group the run finishes and saves its step, and needs its workers for that.
    processes.ignore_stop_signals(LAST_SECONDS)


def _tensor(part: Tensor | np.ndarray | None, pin: bool) -> Tensor | None:
    if not isinstance(part, np.ndarray):
        return part  # torch's loader has pinned tensors
    tensor = torch.from_numpy(part)
    return tensor.pin_memory() if pin else tensor


def _unchanged(batch: Batch | UserError) -> Batch | UserError:
    return batch
