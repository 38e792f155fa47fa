"""Which clips, frames and windows an epoch sees: pure functions of (seed, epoch, clip), never of a stream.

So a run that is stopped and resumed, or fed by another number of workers, sees the same.
"""

from dataclasses import dataclass

import numpy as np

ORDER, CLIP = 0, 1  # keep the random numbers of an epoch's order and of its clips apart


@dataclass(frozen=True, kw_only=True)
class View:
    """How one clip is seen in one epoch.

    offsets: (N,) in [0, 1), where in its share of the clip each frame is taken;
    window: x and y in [0, 1], where the crop window lies between its extremes; flip: mirrored or not.
    """

    offsets: np.ndarray
    window: tuple[float, float]
    flip: bool


def epoch_order(clips: int, seed: int, epoch: int) -> np.ndarray:
    """The order of the training clips in an epoch: a permutation of 0…clips−1."""
    return np.random.default_rng((seed, ORDER, epoch)).permutation(clips)


def training_view(frames: int, flip: bool, seed: int, epoch: int, clip: int) -> View:
    """A random view of a clip. flip: whether mirroring is allowed; clip: its number among the training clips."""
    random = np.random.default_rng((seed, CLIP, epoch, clip))
    offsets, window, coin = random.random(frames), random.random(2), random.random()
    return View(offsets=offsets, window=(window[0], window[1]), flip=flip and bool(coin < 0.5))


def evaluation_view(frames: int) -> View:
    """The one view that a clip is judged by: the middle of each share, the middle window, not mirrored."""
    return View(offsets=np.full(frames, 0.5), window=(0.5, 0.5), flip=False)


def frame_positions(kept: int, offsets: np.ndarray) -> np.ndarray:
    """Which of a clip's m kept frames the network takes: floor((k + u)·m / N), in order, repeating where m < N."""
    wanted = len(offsets)
    positions = np.floor((np.arange(wanted) + offsets) * kept / wanted).astype(int)
    return np.minimum(positions, kept - 1)
