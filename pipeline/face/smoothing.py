"""Smooth curves over time, so that crops do not shake."""

from collections.abc import Sequence

import numpy as np

# Wide enough to average a few frames of a video sampled at 15 frames per second, narrow compared with a head's turn.
SIGMA_S = 0.1


def smooth(values: np.ndarray, times: np.ndarray, segments: Sequence[int]) -> np.ndarray:
    """Replace each point by the value there of a line fitted to its neighbourhood in time.

    values: (m, …) float
    times: (m,) seconds
    segments: (m,) the number of each point's segment; points of other segments (across a cut) have no weight

    Returns (m, …) float. The weights are Gaussian in time with SIGMA_S, symmetric, so the result does not lag:
    a curve that moves evenly keeps its values, and so do points seconds apart.
    """
    flat = values.reshape(len(values), -1)
    apart = times[None, :] - times[:, None]  # (m, m), row: the point being fitted
    same_segment = np.equal.outer(segments, segments)
    weights = np.where(same_segment, np.exp(-(apart**2) / (2 * SIGMA_S**2)), 0.0)
    s0, s1, s2 = weights.sum(1), (weights * apart).sum(1), (weights * apart**2).sum(1)
    v0, v1 = weights @ flat, (weights * apart) @ flat
    determinant = s0 * s2 - s1**2
    alone = determinant <= 1e-9 * SIGMA_S**2  # no neighbour in time, so no slope: keep the value
    safe = np.where(alone, 1.0, determinant)[:, None]
    fitted = (s2[:, None] * v0 - s1[:, None] * v1) / safe
    return np.where(alone[:, None], flat, fitted).reshape(values.shape)
