"""Long benchmarks in numbered parts: a stopped one continues with the parts that have no record yet."""

import argparse
import itertools
import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from dfer.schemas.support.files import write_atomic

Record = dict[str, Any]


def arguments(about: str, **counts: int) -> argparse.Namespace:
    """Parse OUT, the counts as flags with these defaults, and what all long benchmarks take."""
    parser = argparse.ArgumentParser(description=about.split("\n")[0])
    parser.add_argument(
        "out", type=Path, help="folder for what is made on the way; a second call continues there"
    )
    for name, default in counts.items():
        parser.add_argument(f"--{name}", type=int, default=default, help="default: %(default)s")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no part after this time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    return options


def run_parts(
    options: argparse.Namespace,
    make: Callable[[int], Record],
    is_enough: Callable[[Sequence[Record]], bool],
    describe: Callable[[Sequence[Record]], str],
    at_once: int,
) -> list[Record]:
    """Make the records of parts 0, 1, 2, … until they are enough or the time is over; return all, in order.

    make: number → record; called in `at_once` threads
    describe: the records so far in a line, for stderr
    """
    folder = options.out / f"records-seed-{options.seed}"
    folder.mkdir(exist_ok=True)
    done = {int(path.stem): json.loads(path.read_bytes()) for path in folder.glob("*.json")}
    numbers = (number for number in itertools.count() if number not in done)
    deadline, running = time.monotonic() + 60 * options.minutes, {}
    with ThreadPoolExecutor(at_once) as pool:
        while True:
            while len(running) < at_once and time.monotonic() < deadline and not is_enough(in_order(done)):
                number = next(numbers)
                running[pool.submit(_timed, make, number)] = number
            if not running:
                return in_order(done)
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                number = running.pop(future)
                done[number] = future.result()
                write_atomic(folder / f"{number:05}.json", json.dumps(done[number]).encode())
            print(describe(in_order(done)), file=sys.stderr, flush=True)


def in_order(done: dict[int, Record]) -> list[Record]:
    return [done[number] for number in sorted(done)]


def conclude(
    options: argparse.Namespace, figures: Record, rows: Iterable[Sequence[object]], problems: Sequence[str]
) -> None:
    """Print a table, its first row the heading, and the problems; exit with 1 if there are any."""
    heading, *others = rows
    table = Table(*map(str, heading))
    for row in others:
        table.add_row(*map(str, row))
    Console().print(table)
    for name, value in figures.items():
        print(f"{name.replace('_', ' ')}: {value}")
    for problem in problems:
        print(f"PROBLEM: {problem}")
    if options.json:
        content = {**figures, "table": [list(row) for row in (heading, *others)], "problems": list(problems)}
        write_atomic(options.json, (json.dumps(content, indent=2) + "\n").encode())
    raise SystemExit(bool(problems))


def _timed(make: Callable[[int], Record], number: int) -> Record:
    started = time.monotonic()
    record = make(number)
    return {**record, "number": number, "seconds": round(time.monotonic() - started, 2)}
