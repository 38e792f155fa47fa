"""Whether other programs use this machine's cores, and what to do about it.

OpenMP's threads, which torch computes with, wait for each other busily. On a shared CPU one of them has no core, and
the others use theirs up waiting for it. On two cores, one of them busy, two threads took 1.9 × as long as with
OMP_WAIT_POLICY=PASSIVE.
"""

import time
from collections.abc import Mapping
from pathlib import Path

POLICY, THREADS = "OMP_WAIT_POLICY", "OMP_NUM_THREADS"
ADVICE = f"set {POLICY}=PASSIVE, so that threads do not wait busily for each other, or a smaller {THREADS}"
SCHEDULER = Path(
    "/proc/thread-self/schedstat"
)  # nanoseconds on a core, nanoseconds ready but without one, turns
WINDOW = 10.0  # seconds
FREE = 0.75  # share of the cores that must be free to run undisturbed
WAITING = (
    0.2  # share of the time; with free cores it is 0.01 to 0.02, with one other program on two cores 0.4
)


def load_advice(load: float, machine: int, usable: int, environment: Mapping[str, str]) -> str | None:
    """What to do before training on the CPU; None if enough cores are free or it is done.

    load: programs that run or wait for a core, on average
    machine, usable: cores of the machine, and those that this process may use
    """
    enough = machine - load >= FREE * usable
    alone = environment.get(THREADS, str(usable)).strip() == "1"  # a single thread waits for no other
    return None if enough or alone or POLICY in environment else ADVICE


def waiting_advice(waiting: float, threads: int, environment: Mapping[str, str]) -> str | None:
    """What to do for a program that waits for cores; None if it does not, or if it is done.

    waiting: share of the time that its main thread was ready but had no core
    threads: that it computes with
    """
    disturbed = waiting > WAITING and threads > 1
    return ADVICE if disturbed and POLICY not in environment else None


class CoreWatch:
    """Measures how long the calling thread waits for a core. On Linux; elsewhere nothing is measured."""

    def __init__(self) -> None:
        self._since, self._waited = time.monotonic(), _waited()

    def waiting(self) -> float | None:
        """Share of the time since the last measurement; None before WINDOW seconds have passed."""
        now, waited = time.monotonic(), _waited()
        if waited is None or self._waited is None or now - self._since < WINDOW:
            return None
        share = (waited - self._waited) / (now - self._since)
        self._since, self._waited = now, waited
        return share


def _waited() -> float | None:
    """Seconds that this thread was ready but had no core since it started; None where the system does not count."""
    try:
        return int(SCHEDULER.read_text().split()[1]) / 1e9
    except OSError:
        return None
