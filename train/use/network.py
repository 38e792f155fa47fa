"""The network of a run as a `Model`. The only module of this folder that imports torch."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from dfer.schemas.support.errors import UserError
from dfer.train.data.caches import Pool
from dfer.train.data.loader import worker_deaths_explained
from dfer.train.engine import checkpoint
from dfer.train.engine.device import choose_device
from dfer.train.engine.forward import batch_size, predict_clips, refuse_nan
from dfer.train.results.run_folder import require_run


class Network:
    """The network of a run after its last or best epoch."""

    needs_faces = True

    def __init__(self, run: Path, which: str = "last", device: str = "auto", loader_workers: int = 0) -> None:
        """Load a run's network.

        which: `last` or `best`, the epoch
        device: as `choose_device` takes it
        loader_workers: processes that decode JPEGs

        Raises UserError if there is no such run, or it is damaged.
        """
        if not run.is_dir():
            raise UserError(f"no such run: {run}; make it with `train run CACHE --out {run}`")
        require_run(run)
        self._saved = checkpoint.load(run / f"{which}.pt")
        self._device, self._workers = choose_device(device), loader_workers
        self._network = checkpoint.restore(self._saved).to(self._device)
        self.name, self.labels = str(run), self._saved.labels
        self.extraction = _first_of(self._saved.origin.get("extraction"))

    @worker_deaths_explained()
    def probabilities(self, pool: Pool, clips: pl.DataFrame, on_done: Callable[[int], None]) -> np.ndarray:
        """As `Model.probabilities`."""
        config, left = self._saved.config, len(clips)

        def on_batch() -> None:
            nonlocal left
            done = min(left, batch_size(config))
            left -= done
            on_done(done)

        found = predict_clips(
            self._network, pool, clips, config, self._device, loader_workers=self._workers, on_batch=on_batch
        )
        refuse_nan(found)
        return found


def _first_of(extraction: object) -> Mapping[str, Any] | None:
    """The settings of the first of a run's caches; None in a run of an earlier version."""
    first = extraction[0] if isinstance(extraction, list) and extraction else None
    return first if isinstance(first, Mapping) else None
