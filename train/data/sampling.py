"""Which clips, frames, windows and colours an epoch uses: pure functions of (seed, epoch, sample).

A sample is a position in an epoch's order, the same for all processes. No random stream is carried along, so a run
that is resumed, or fed by another number of workers or processes, sees the same data; its position is the epoch and
the number of samples consumed.

Frames: of the m frames of a clip in the cache the network takes N, at floor((k + u)·m / N) for k = 0…N−1. u is drawn
from [0, 1) for each k in training. In evaluation it is 0.5; further views have another u, the same for all k.
Frames stay in order; they repeat where m < N.

Steps: a step is `batch_size` consecutive samples of the order (the last may be shorter). Process r of P takes its
consecutive share, in up to `accumulate` parts. One process that accumulates P parts takes the same parts.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

# Keep the random numbers of an epoch's orders, samples and steps, and of the network in a step, apart.
ORDER, SAMPLE, STEP, NETWORK = 0, 1, 2, 3


@dataclass(frozen=True, kw_only=True)
class View:
    """One way to look at a clip.

    offsets: (N,) in [0, 1), u in the formula above
    window: x and y in [0, 1], position of the crop window between its extremes
    flip: whether it is mirrored
    color_jitter: factors of brightness, contrast and saturation; 1 changes nothing
    """

    offsets: np.ndarray
    window: tuple[float, float] = (0.5, 0.5)
    flip: bool = False
    color_jitter: tuple[float, float, float] = (1.0, 1.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Draws the views of training clips.

    frames: N, frames a view
    flip: whether to mirror half of the clips
    color_jitter: largest relative change of brightness, contrast and saturation, 0–1
    """

    seed: int
    frames: int
    flip: bool
    color_jitter: float = 0.0

    def view(self, epoch: int, sample: int) -> View:
        """Draw the view for a sample of an epoch."""
        random = np.random.default_rng((self.seed, SAMPLE, epoch, sample))
        offsets, window, coin = random.random(self.frames), random.random(2), random.random()
        factors = 1 + self.color_jitter * (2 * random.random(3) - 1)
        return View(
            offsets=offsets,
            window=(float(window[0]), float(window[1])),
            flip=self.flip and bool(coin < 0.5),
            color_jitter=(float(factors[0]), float(factors[1]), float(factors[2])),
        )


def evaluation_view(frames: int, number: int = 0) -> View:
    """One of the views used for evaluation, with the window in the middle.

    number: 0 is the usual view, u = 0.5 for all frames; 1 is its mirror image; then each pair of numbers is a sample
        shifted in time and its mirror image: u = 1/4, 3/4, 1/8, 5/8, … halve the gaps between the earlier ones

    In clips with few frames some of these take the same frames.
    """
    return View(offsets=np.full(frames, _radical_inverse(1 + number // 2)), flip=number % 2 == 1)


def _radical_inverse(number: int) -> float:
    """The binary digits of a number from 1, mirrored at the point: 1/2, 1/4, 3/4, 1/8, 5/8, … (van der Corput)."""
    digits = f"{number:b}"
    return int(digits[::-1], 2) / 2 ** len(digits)


def frame_positions(kept: int, offsets: np.ndarray) -> np.ndarray:
    """Choose N of a clip's `kept` frames: floor((k + u)·kept / N) with offsets u (N,). Returns (N,) int."""
    wanted = len(offsets)
    positions = np.floor((np.arange(wanted) + offsets) * kept / wanted).astype(int)
    return np.minimum(positions, kept - 1)


def epoch_order(clips: int, seed: int, epoch: int) -> np.ndarray:
    """Shuffle the training clips for an epoch: a permutation (clips,) of 0…clips−1."""
    return np.random.default_rng((seed, ORDER, epoch)).permutation(clips)


def balanced_order(labels: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """Draw an epoch with every class equally often (± 1) by repeating clips of rare classes and skipping others.

    A clip is repeated only after all others of its class were taken. Clips without a class are drawn once each.

    labels: (clips,) class numbers, −1 for none

    Returns (clips,) clip numbers.
    """
    random = np.random.default_rng((seed, ORDER, epoch))
    without, count = np.flatnonzero(labels < 0), int((labels >= 0).sum())
    classes = random.permutation(np.unique(labels[labels >= 0]))
    chosen = [without]
    for place, number in enumerate(classes):
        members = np.flatnonzero(labels == number)
        wanted = count // len(classes) + (place < count % len(classes))
        rounds = [random.permutation(members) for _ in range(-(-wanted // len(members)))]
        chosen.append(np.concatenate([*rounds, members[:0]])[:wanted])
    return random.permutation(np.concatenate(chosen))


def mixing_weight(alpha: float, seed: int, epoch: int, first_sample: int) -> float:
    """Draw mixup's share of the first of two clips, for the step that starts at a sample of an epoch.

    It is the larger part of Beta(α, α), so that a mixed clip is mostly the clip whose label training figures use.
    """
    share = float(np.random.default_rng((seed, STEP, epoch, first_sample)).beta(alpha, alpha))
    return max(share, 1 - share)


def step_seed(seed: int, epoch: int, first_sample: int, rank: int) -> int:
    """The seed of what the network draws itself in a step, such as dropout; rank: of the process.

    A step then draws the same whatever was drawn before, on a GPU too, so a checkpoint needs no random state.
    """
    return int(np.random.default_rng((seed, NETWORK, epoch, first_sample, rank)).integers(2**63))


def steps(samples: int, batch_size: int, start: int = 0) -> Iterator[range]:
    """Divide an epoch's samples into steps, from sample `start`, which must be the first of a step."""
    for first in range(start, samples, batch_size):
        yield range(first, min(first + batch_size, samples))


def parts_of(step: range, rank: int, processes: int, accumulate: int) -> list[range]:
    """Divide a step between processes; return the parts of one.

    Every process gets the same number of parts, at most `accumulate`. Together, in the order of ranks, they are the
    step. In a short last step some parts are empty, but never the first process's: its batch-norm statistics are
    the ones that are saved.
    """
    count = min(accumulate, -(-len(step) // processes))
    return shares(step, processes * count)[rank * count :][:count]


def shares(step: range, parts: int) -> list[range]:
    """Divide a step into consecutive parts whose lengths differ by at most one, longest first."""
    base, longer = divmod(len(step), parts)
    lengths = [base + 1] * longer + [base] * (parts - longer)
    ends = list(itertools.accumulate(lengths, initial=step.start))
    return [range(a, b) for a, b in itertools.pairwise(ends)]
