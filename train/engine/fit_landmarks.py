"""Fit what the network knows about landmarks before it is trained: their moments, and the landmark regression."""

import numpy as np
import polars as pl
import torch

from dfer.train.data.caches import Pool, usable, with_label
from dfer.train.data.class_matching import label_ids
from dfer.train.data.landmark_features import clip_features
from dfer.train.models.keypoint.network import DferNetwork
from dfer.train.models.landmark_regression import fit, moments


def fit_landmarks(network: DferNetwork, pool: Pool, clips: pl.DataFrame) -> None:
    """Set the moments of the landmark features, and the regression, from training clips; nothing without landmarks.

    clips: rows of the pool's table; only usable ones with a label are taken

    Raises UserError if the cache's landmark tables are damaged.
    """
    if network.face_features is None:
        return
    clips = with_label(usable(clips))
    taken = network.face_features.count  # without the scores, which come first, if it takes none
    features = clip_features(pool, clips)[:, -taken:]
    mean, deviation = moments(features)
    network.face_features.mean.copy_(torch.from_numpy(mean))
    network.face_features.deviation.copy_(torch.from_numpy(deviation))
    if network.regression is not None:
        regression = fit(features, np.array(label_ids(clips, pool.labels)), len(pool.labels))
        network.regression.weights.copy_(torch.from_numpy(regression.weights))
        network.regression.bias.copy_(torch.from_numpy(regression.bias))
