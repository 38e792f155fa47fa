"""Kill a command at random moments until a folder is finished, again and again, and count what the kills met."""

import argparse
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from endurance import Record, conclude, run_parts
from sessions import Ended, remove_semaphores, run_command

IsDue = Callable[[float], bool]  # whether to kill now, given the seconds since the start
Files = dict[str, int]  # name relative to a folder → when it was written, ns


@dataclass(frozen=True, kw_only=True)
class Killed:
    """What happened to a folder.

    kills: the phase in which each came
    last: the run that was not killed
    semaphores: of joblib, left in memory by killed process groups (and now removed)
    """

    kills: list[str]
    problems: list[str]
    last: Ended
    semaphores: int


def kill_until_done(
    folder: Path,
    make_command: Callable[[], Sequence[object]],
    environment: dict[str, str],
    next_moment: Callable[[], IsDue],
    phase_of: Callable[[Files, Files], str],
    chance: random.Random,
    between: tuple[int, int],
) -> Killed:
    """Run a command that fills a folder, kill it at random moments, and let it finish.

    The process alone and its process group are killed in turn.

    next_moment: called before each run that is to be killed
    between: fewest and most kills; it may finish before
    phase_of: names what a kill met, given the files before and after the run
    """
    kills, problems, semaphores = [], [], 0
    wanted, alone = chance.randint(*between), chance.random() < 0.5
    while True:
        before = files_below(folder)
        is_due = next_moment() if len(kills) < wanted else (lambda _seconds: False)
        send = os.kill if alone else os.killpg
        ended = run_command(make_command(), environment, is_due, lambda pid, to=send: to(pid, signal.SIGKILL))
        semaphores += remove_semaphores(ended.pid)
        problems += [f"a process is left: {process}" for process in ended.left]
        dead = ended.killed and ended.code == -signal.SIGKILL  # it may have ended just before the kill
        if ended.code and not dead:
            problems.append(f"exit code {ended.code}: {ended.stderr[-500:]}")
        if problems or not dead:
            return Killed(kills=kills, problems=problems, last=ended, semaphores=semaphores)
        kills.append(phase_of(before, files_below(folder)))
        alone = not alone


def at(seconds: float) -> IsDue:
    """Due so many seconds after the start."""
    return lambda passed: passed >= seconds


def after(happened: Callable[[], bool], delay: float) -> IsDue:
    """Due so many seconds after something has happened."""
    since: float | None = None

    def is_due(_seconds: float) -> bool:
        nonlocal since
        if since is None and happened():
            since = time.monotonic()
        return since is not None and time.monotonic() - since >= delay

    return is_due


def files_below(folder: Path) -> Files:
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}


def run_kills(options: argparse.Namespace, make: Callable[[int], Record]) -> None:
    """Make chains of kills until there are `options.kills`, `options.chains` at a time; print the figures.

    make: number → {"kills": phases, "problems": texts} and numbers that are to be summed
    """

    def kills_of(records: Sequence[Record]) -> int:
        return sum(len(record["kills"]) for record in records)

    def with_problem(records: Sequence[Record]) -> int:
        return sum(bool(record["problems"]) for record in records)

    records = run_parts(
        options,
        make,
        lambda records: kills_of(records) >= options.kills,
        lambda records: (
            f"{kills_of(records)} of {options.kills} kills, {len(records)} chains, "
            f"{with_problem(records)} with a problem"
        ),
        options.chains,
    )
    phases = Counter(phase for record in records for phase in record["kills"])
    seconds = sum(record["seconds"] for record in records) / options.chains
    figures = {
        "kills": phases.total(),
        "finished": len(records) - with_problem(records),
        "with_a_problem": with_problem(records),
        "seconds": round(seconds),
        "seconds_a_kill": round(seconds / max(phases.total(), 1), 2),
    }
    known = {"kills", "problems", "seconds", "number"}
    for name in sorted({name for record in records for name in record} - known):
        figures[name] = sum(record[name] for record in records)
    problems = [text for record in records for text in record["problems"]]
    conclude(options, figures, [("a kill came", "times"), *phases.most_common()], problems)
