"""Let a network fit what it knows about landmarks before it is trained: moments, and the landmark regression."""

import numpy as np
import polars as pl

from dfer.train.config import TrainConfig
from dfer.train.data.caches import usable, with_label
from dfer.train.data.class_matching import label_ids
from dfer.train.data.landmark_features import LandmarkFeatures
from dfer.train.models.interface import ClipNetwork


def fit_landmarks(
    network: ClipNetwork, config: TrainConfig, features: LandmarkFeatures, clips: pl.DataFrame
) -> None:
    """Call the network's `prepare` with features of training clips; do nothing without landmarks.

    config: the network's settings
    clips: training clips; only usable ones with a label are taken

    Raises UserError if the cache's landmark tables are damaged.
    """
    if config.network.takes_landmarks:
        clips = with_label(usable(clips))
        network.prepare(features.of(clips), np.array(label_ids(clips, features.pool.labels)))
