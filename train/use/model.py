"""What can predict: anything with class names that gives the class probabilities of a cache's clips."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import polars as pl

from dfer.schemas.keypoints import KeypointSet
from dfer.train.data.caches import Pool

if TYPE_CHECKING:
    from dfer.pipeline.live.follow import LiveFace


class Model(Protocol):
    """A model to predict with.

    name: what messages call it
    labels: its class names
    extraction: settings to extract clips with, as in `cache.json`; None if they are unknown
    keypoints: the key-point set that it takes
    num_frames: how many frames it takes of a clip
    needs_faces: whether it looks at the crops; without, the tables that `pipeline share` writes are enough
    """

    name: str
    labels: tuple[str, ...]
    extraction: Mapping[str, Any] | None
    keypoints: KeypointSet
    num_frames: int
    needs_faces: bool

    def probabilities(self, pool: Pool, clips: pl.DataFrame, on_done: Callable[[int], None]) -> np.ndarray:
        """Predict clips.

        clips: usable rows of the pool's table, or windows of them (`window_rows`): then only the frames from
            `first_frame` to before `end_frame` count
        on_done: called with the number of clips just predicted

        Returns probabilities (clips, classes). Raises UserError if the cache is damaged, or lacks something.
        """

    def probabilities_of(self, faces: Sequence["LiveFace"]) -> np.ndarray:
        """Predict a window of a stream.

        faces: one or more, the oldest first, with expression scores if the settings of `extraction` ask for them

        Returns probabilities (classes,).
        """
