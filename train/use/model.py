"""What can predict: anything with class names that gives the class probabilities of a cache's clips."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import polars as pl

from dfer.train.data.caches import Pool


class Model(Protocol):
    """A model to predict with.

    name: what messages call it
    labels: its class names
    extraction: settings to extract clips with, as in `cache.json`; None if they are unknown
    needs_faces: whether it looks at the crops; without, the tables that `pipeline share` writes are enough
    """

    name: str
    labels: tuple[str, ...]
    extraction: Mapping[str, Any] | None
    needs_faces: bool

    def probabilities(self, pool: Pool, clips: pl.DataFrame, on_done: Callable[[int], None]) -> np.ndarray:
        """Predict clips.

        clips: usable rows of the pool's table
        on_done: called with the number of clips just predicted

        Returns probabilities (clips, classes). Raises UserError if the cache is damaged, or lacks something.
        """
