"""Fit what the network knows about landmarks before it is trained: their moments, and the landmark regression."""

import numpy as np
import polars as pl
import torch

from dfer.train.data.caches import Pool, usable
from dfer.train.data.class_matching import label_ids
from dfer.train.data.landmark_features import clip_features
from dfer.train.models.keypoint.network import DferNetwork
from dfer.train.models.landmark_regression import fit


def fit_landmarks(network: DferNetwork, pool: Pool, clips: pl.DataFrame) -> None:
    """Set the moments of the landmark features, and the regression, from training clips; nothing without landmarks.

    clips: rows of the pool's table; only usable ones with a label are taken

    Raises UserError if the cache's landmark tables are damaged.
    """
    if network.face_features is None:
        return
    clips = usable(clips).filter(pl.col("label").is_not_null())
    features = clip_features(pool, clips)[
        :, -network.face_features.count :
    ]  # without the scores if it takes none
    regression = fit(features, np.array(label_ids(clips, pool.labels)), len(pool.labels))
    fitted = [(network.face_features, "mean"), (network.face_features, "deviation")]
    if network.regression is not None:
        fitted += [(network.regression, "weights"), (network.regression, "bias")]
    for module, name in fitted:
        getattr(module, name).copy_(torch.from_numpy(getattr(regression, name)))
