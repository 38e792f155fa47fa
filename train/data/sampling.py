"""Which clips, frames and windows an epoch sees: pure functions of (seed, epoch, sample), never of a stream.

A sample is a place in the epoch's order, the same for all processes. So a run that is stopped and resumed, or fed
by another number of workers, sees the same; where it stands is the epoch and the number of samples consumed.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

ORDER, SAMPLE, STEP = 0, 1, 2  # keep the random numbers of an epoch's order, samples and steps apart


@dataclass(frozen=True, kw_only=True)
class View:
    """How one clip is seen once.

    offsets: (N,) in [0, 1), where in its share of the clip each frame is taken;
    window: x and y in [0, 1], where the crop window lies between its extremes; flip: mirrored or not;
    colour: factors of brightness, contrast and saturation, 1 leaves them alone.
    """

    offsets: np.ndarray
    window: tuple[float, float] = (0.5, 0.5)
    flip: bool = False
    colour: tuple[float, float, float] = (1.0, 1.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Draws the views of the training clips. flip: whether mirroring is allowed; colour: the largest change of
    brightness, contrast and saturation, 0–1."""

    seed: int
    frames: int
    flip: bool
    colour: float = 0.0

    def view(self, epoch: int, sample: int) -> View:
        """The view of the clip that stands at place `sample` of an epoch."""
        random = np.random.default_rng((self.seed, SAMPLE, epoch, sample))
        offsets, window, coin = random.random(self.frames), random.random(2), random.random()
        colour = 1 + self.colour * (2 * random.random(3) - 1)
        return View(
            offsets=offsets,
            window=(float(window[0]), float(window[1])),
            flip=self.flip and bool(coin < 0.5),
            colour=(float(colour[0]), float(colour[1]), float(colour[2])),
        )


def evaluation_view(frames: int) -> View:
    """The one view that a clip is judged by: the middle of each share, the middle window, nothing changed."""
    return View(offsets=np.full(frames, 0.5))


def frame_positions(kept: int, offsets: np.ndarray) -> np.ndarray:
    """Which of a clip's m kept frames the network takes: floor((k + u)·m / N), in order, repeating where m < N."""
    wanted = len(offsets)
    positions = np.floor((np.arange(wanted) + offsets) * kept / wanted).astype(int)
    return np.minimum(positions, kept - 1)


def epoch_order(clips: int, seed: int, epoch: int) -> np.ndarray:
    """The order of the training clips in an epoch: a permutation of 0…clips−1."""
    return np.random.default_rng((seed, ORDER, epoch)).permutation(clips)


def balanced_order(labels: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """As many clips as there are, every class as often as any other (± 1): rare ones repeat, frequent ones rest.

    labels: (clips,) class numbers. No clip of a class is taken again before all others of it were.
    """
    random = np.random.default_rng((seed, ORDER, epoch))
    classes = random.permutation(np.unique(labels))
    chosen = []
    for place, number in enumerate(classes):
        members = np.flatnonzero(labels == number)
        wanted = len(labels) // len(classes) + (place < len(labels) % len(classes))
        rounds = [random.permutation(members) for _ in range(-(-wanted // len(members)))]
        chosen.append(np.concatenate([*rounds, members[:0]])[:wanted])
    return random.permutation(np.concatenate(chosen))


def mixing_weight(alpha: float, seed: int, epoch: int, first_sample: int) -> float:
    """Mixup's share of the first of two clips, for the step that begins at a sample of an epoch: the larger part of
    Beta(α, α), so that a clip's own label is the one that it is mostly of, as figures of training take it."""
    share = float(np.random.default_rng((seed, STEP, epoch, first_sample)).beta(alpha, alpha))
    return max(share, 1 - share)


def steps(samples: int, batch_size: int, start: int = 0) -> Iterator[range]:
    """The samples of each step of an epoch from sample `start` on, which must begin a step."""
    for first in range(start, samples, batch_size):
        yield range(first, min(first + batch_size, samples))


def parts_of(step: range, rank: int, processes: int, accumulate: int) -> list[range]:
    """A process's parts of a step: as many for each process, at most `accumulate`; all of all processes, in order of
    their ranks, are the step.

    In a short last step some are empty, but none of the first process's: its batch-norm statistics are kept.
    """
    count = min(accumulate, -(-len(step) // processes))
    return shares(step, processes * count)[rank * count :][:count]


def shares(step: range, parts: int) -> list[range]:
    """A step's samples in `parts` runs whose lengths differ by one at most, the longest first."""
    base, longer = divmod(len(step), parts)
    lengths = [base + 1] * longer + [base] * (parts - longer)
    ends = list(itertools.accumulate(lengths, initial=step.start))
    return [range(a, b) for a, b in itertools.pairwise(ends)]
