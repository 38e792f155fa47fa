"""Kill `pipeline extract` a thousand times: each cache that is finished afterwards must have the usual bytes.

    PYTHONPATH=tests/helpers python tests/benchmarks/killed_extractions.py OUT [--kills 1000] [--chains 2]

A cache of eight shards is extracted from tiny clips. SIGKILL comes at a random moment, to the process alone and to
its process group in turn, and the command runs again, up to eight times; then it may finish. Checked: the bytes are
those of an extraction that nobody disturbed, and no process and no file of a killed run is left in the cache.
A cache with a problem is kept in OUT. `--minutes` ends early; the same command continues.
"""

import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from endurance import Record, arguments, conclude, run_parts
from folder_bytes import contents
from made_up_clips import face_frames
from sessions import Ended, installed, run_command
from tree_files import encode

CLIPS, SHARD_CLIPS = 16, 2
SHARDS = CLIPS // SHARD_CLIPS
MOST_KILLS = 8  # of one cache
ONE_THREAD = {"OMP_NUM_THREADS": "1"}


def make_clips(root: Path) -> Path:
    """Sixteen videos of two frames, one of them cut off and one without a face."""
    for number in range(CLIPS):
        path = root / ("happy" if number % 2 else "sad") / f"{number:02}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        frames = face_frames(2, width=320, start=number / CLIPS)
        encode(path, frames if number != 5 else [np.full_like(frame, 90) for frame in frames])
        if number == 9:
            path.write_bytes(path.read_bytes()[:300])
    return root


class Timing:
    """Seconds of an undisturbed extraction: to its first commit, from one to the next, from the last to the seal."""

    def __init__(self, cache: Path, started: float) -> None:
        commits = sorted(path.stat().st_mtime for path in (cache / "commits").iterdir())
        self.first = commits[0] - started
        self.each = (commits[-1] - commits[0]) / (SHARDS - 1)
        self.last = (cache / "seal.json").stat().st_mtime - commits[-1]


class Chain:
    """One cache: killed again and again, then finished."""

    def __init__(
        self, clips: Path, expected: dict[Path, bytes], timing: Timing, out: Path, seed: int
    ) -> None:
        self.clips, self.expected, self.timing, self.out, self.seed = clips, expected, timing, out, seed

    def __call__(self, number: int) -> Record:
        chance = random.Random(f"{self.seed} {number}")
        cache, temporary = self.out / f"cache-{number:05}", self.out / f"temporary-{number:05}"
        for folder in (cache, temporary):
            shutil.rmtree(folder, ignore_errors=True)  # of a benchmark that was stopped
        temporary.mkdir()
        kills, problems, wanted = [], [], chance.randint(1, MOST_KILLS)
        while True:
            before = _files(cache)
            is_due = self._moment(cache, chance) if len(kills) < wanted else None
            ended = extract(
                self.clips, cache, temporary, chance, is_due, group=bool((number + len(kills)) % 2)
            )
            problems += self._faults(ended)
            if problems or ended.code != -signal.SIGKILL:
                break
            kills.append(_phase(before, _files(cache)))
        if not problems and contents(cache) != self.expected:
            problems.append(f"other bytes: {_differing(contents(cache), self.expected)}")
        if not problems:
            shutil.rmtree(cache)
        left = sum(1 for _ in temporary.iterdir())
        shutil.rmtree(temporary)
        return {"kills": kills, "problems": [f"{cache}: {text}" for text in problems], "temporary_left": left}

    def _moment(self, cache: Path, chance: random.Random) -> Callable[[float], bool]:
        """Choose a moment: while it starts, after one of its next commits, or after the last one."""
        left = SHARDS - _commits(cache)
        if not left or chance.random() < 0.15:
            at = chance.uniform(0, self.timing.first)
            return lambda seconds: seconds >= at
        more = left if chance.random() < 0.1 else chance.randint(1, min(3, left))
        delay = chance.uniform(0, self.timing.last if more == left else self.timing.each)
        goal, reached = SHARDS - left + more, None

        def is_due(_seconds: float) -> bool:
            nonlocal reached
            if reached is None and _commits(cache) >= goal:
                reached = time.monotonic()
            return reached is not None and time.monotonic() - reached >= delay

        return is_due

    def _faults(self, ended: Ended) -> list[str]:
        faults = [f"a process is left: {process}" for process in ended.left]
        if (
            ended.stderr and not ended.killed
        ):  # joblib's resource tracker reports what it cleans up after a kill
            faults.append(f"stderr: {ended.stderr[:500]}")
        if ended.code not in (0, -signal.SIGKILL) or (ended.code and not ended.killed):
            faults.append(f"exit code {ended.code}")
        return faults


def extract(
    clips: Path,
    cache: Path,
    temporary: Path,
    chance: random.Random,
    is_due: Callable[[float], bool] | None = None,
    *,
    group: bool = False,
) -> Ended:
    """Run the command, mostly with one worker. temporary: folder for temporary files."""
    command = [installed("pipeline"), "extract", clips, "--out", cache, "--json", "--frames", 1]
    command += ["--shard-clips", SHARD_CLIPS, "--workers", 1 if chance.random() < 0.8 else 2]

    def kill(pid: int) -> None:
        (os.killpg if group else os.kill)(pid, signal.SIGKILL)

    return run_command(command, {**ONE_THREAD, "TMPDIR": str(temporary)}, is_due or (lambda _: False), kill)


def _commits(cache: Path) -> int:
    try:
        return sum(
            entry.name.endswith(".json") and entry.name[0] != "." for entry in os.scandir(cache / "commits")
        )
    except FileNotFoundError:
        return 0


def _files(cache: Path) -> dict[str, int]:
    """The files of a cache and when they were written."""
    return {str(p.relative_to(cache)): p.stat().st_mtime_ns for p in cache.rglob("*") if p.is_file()}


def _phase(before: dict[str, int], after: dict[str, int]) -> str:
    """Where a kill found the run, from the files before and after it."""
    new = {name for name, written in after.items() if before.get(name) != written}
    shards = {name for name in new if "/" in name}
    commits = {Path(name).stem for name in after if name.startswith("commits/")}
    if any(Path(name).stem not in commits for name in shards):
        return "within a shard"
    if "seal.json" in after:
        return "after the seal"
    if len(commits) == SHARDS:
        return "between the last shard and the seal"
    if shards:
        return "between two shards"
    return "while the models load" if "manifest.parquet" in after else "before the cache is prepared"


def _differing(found: dict[Path, bytes], expected: dict[Path, bytes]) -> list[str]:
    return sorted(
        str(name) for name in found.keys() | expected.keys() if found.get(name) != expected.get(name)
    )


def main() -> None:
    options = arguments(__doc__, kills=1000, chains=2)
    clips, reference = options.out / "clips", options.out / "undisturbed"
    if not reference.exists():
        shutil.rmtree(clips, ignore_errors=True)
        make_clips(clips)
    shutil.rmtree(reference, ignore_errors=True)
    started = time.time()
    ended = extract(clips, reference, options.out, random.Random(1))
    if ended.code or ended.stderr:
        raise SystemExit(f"the undisturbed extraction failed: {ended.stderr}")
    timing = Timing(reference, started)
    begun = time.monotonic()
    records = run_parts(
        options,
        Chain(clips, contents(reference), timing, options.out, options.seed),
        lambda records: sum(len(record["kills"]) for record in records) >= options.kills,
        lambda records: (
            f"{sum(len(record['kills']) for record in records)} of {options.kills} kills, {len(records)} caches, "
            f"{sum(bool(record['problems']) for record in records)} with a problem, "
            f"{time.monotonic() - begun:.0f} s"
        ),
        options.chains,
    )
    phases = Counter(phase for record in records for phase in record["kills"])
    kills, seconds = phases.total(), sum(record["seconds"] for record in records)
    figures = {
        "kills": kills,
        "finished_caches": len(records),
        "caches_with_a_problem": sum(bool(record["problems"]) for record in records),
        "seconds_a_kill": round(seconds / options.chains / max(kills, 1), 2),
        "temporary_files_left_outside_the_caches": sum(record["temporary_left"] for record in records),
    }
    rows = [("kill", "times"), *phases.most_common()]
    conclude(options, figures, rows, [text for record in records for text in record["problems"]])


if __name__ == "__main__":
    main()
