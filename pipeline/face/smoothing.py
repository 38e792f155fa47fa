"""Curves over time without their jitter: what keeps crops from shaking."""

from collections.abc import Sequence

import numpy as np

# Wide enough to average over a few frames of a video sampled 15 times a second, narrow against a head's turn.
SIGMA_S = 0.1


def smooth(values: np.ndarray, times: np.ndarray, runs: Sequence[int]) -> np.ndarray:
    """Fit a line to each point's neighbourhood in time and take its value there: (m, …) float.

    values: (m, …); times: (m,) seconds; runs: (m,) a number for each point, only points of one run are
    averaged. The weights are Gaussian in time with SIGMA_S, to both sides alike, so that nothing lags: a curve
    that moves evenly is left as it is, and so are points that lie seconds apart.
    """
    flat = values.reshape(len(values), -1)
    apart = times[None, :] - times[:, None]  # (m, m), row: the point that is fitted
    same_run = np.equal.outer(runs, runs)
    weights = np.where(same_run, np.exp(-(apart**2) / (2 * SIGMA_S**2)), 0.0)
    s0, s1, s2 = weights.sum(1), (weights * apart).sum(1), (weights * apart**2).sum(1)
    v0, v1 = weights @ flat, (weights * apart) @ flat
    determinant = s0 * s2 - s1**2
    # Alone in time, a point has no slope and keeps its value.
    alone = determinant <= 1e-9 * SIGMA_S**2
    safe = np.where(alone, 1.0, determinant)[:, None]
    fitted = (s2[:, None] * v0 - s1[:, None] * v1) / safe
    return np.where(alone[:, None], flat, fitted).reshape(values.shape)
