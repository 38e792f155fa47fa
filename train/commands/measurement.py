"""What `train benchmark` finds out. No torch here: tables and pages import it."""

from dataclasses import dataclass

TRAINING, INFERENCE = "training", "inference"
TASKS = (TRAINING, INFERENCE)


class TimingError(Exception):
    """Why a network cannot be timed, in a phrase."""


@dataclass(frozen=True, kw_only=True)
class Tried:
    """Another way to run a network.

    way: what it takes, joined by ` + `
    speedup: its speed over that of the plain way; None if it failed
    failure: why it cannot be used, else None
    """

    way: str
    speedup: float | None = None
    failure: str | None = None


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """The result of one task at one batch size.

    model: its name among several
    task: TRAINING or INFERENCE
    device, threads: what it ran on
    clips_per_second: of the median repetition
    memory: bytes, peak of the task without what torch needs anyway (resident on a CPU, allocated by torch on a GPU)
    relative: speed over that of the first of several models, which ran in turn with it
    tried: other ways to run it, if they were asked for
    failure: why there is no result, else None
    """

    model: str = ""
    task: str
    batch_size: int
    device: str
    threads: int
    clips_per_second: float | None = None
    repetitions: int = 0
    memory: int | None = None
    relative: float | None = None
    tried: tuple[Tried, ...] = ()
    failure: str | None = None

    @property
    def fastest(self) -> Tried | None:
        """The fastest way, if it is faster than the plain one."""
        faster = [each for each in self.tried if (each.speedup or 0) > 1]
        return max(faster, key=lambda each: each.speedup or 0, default=None)
