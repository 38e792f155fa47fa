"""Kill `pipeline extract` a thousand times: each cache that is finished afterwards must have the usual bytes.

    PYTHONPATH=tests/helpers python tests/benchmarks/killed_extractions.py OUT [--kills 1000] [--chains 2]

A cache of twelve shards is extracted from tiny clips. SIGKILL comes at a random moment, to the process alone and to
its process group in turn, and the command runs again, up to twelve times; then it may finish. Checked: the bytes are
those of an extraction that nobody disturbed, and no process and no file of a killed run is left in the cache.
A cache with a problem is kept in OUT. `--minutes` ends early; the same command continues.
"""

import contextlib
import os
import random
import shutil
import time
from pathlib import Path

import numpy as np
from endurance import Record, arguments
from folder_bytes import contents
from kills import Files, IsDue, after, at, kill_until_done, run_kills
from made_up_clips import face_frames
from sessions import installed, run_command
from tree_files import encode

CLIPS, SHARD_CLIPS = 24, 2
SHARDS = CLIPS // SHARD_CLIPS
KILLS = (3, 12)  # of one cache, at least and at most
ONE_THREAD = {"OMP_NUM_THREADS": "1"}


def make_clips(root: Path) -> Path:
    """Twenty-four videos of two frames, one of them cut off and one without a face."""
    for number in range(CLIPS):
        path = root / ("happy" if number % 2 else "sad") / f"{number:02}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        frames = face_frames(2, start=number / CLIPS)
        encode(path, frames if number != 5 else [np.full_like(frame, 90) for frame in frames])
        if number == 9:
            path.write_bytes(path.read_bytes()[:300])
    return root


class Chains:
    """Extracts caches that are killed on the way."""

    def __init__(self, out: Path, seed: int) -> None:
        """Make the clips, and extract them undisturbed."""
        self.out, self.seed, self.clips = out, seed, out / "clips"
        reference = out / "undisturbed"
        for folder in (self.clips, reference):
            shutil.rmtree(folder, ignore_errors=True)
        make_clips(self.clips)
        started = time.time()
        self._extract(reference)
        self.expected = contents(reference)
        commits = sorted(path.stat().st_mtime for path in (reference / "commits").iterdir())
        writing = [
            commit.stat().st_mtime - (reference / f"faces/{commit.stem}.arrow").stat().st_mtime
            for commit in (reference / "commits").iterdir()
        ]
        # Seconds from a shard's first file to its commit, to the first commit, to the next, from the last to the end.
        self.writing = max(writing)
        self.first = commits[0] - started
        self.each = (commits[-1] - commits[0]) / (SHARDS - 1)
        self.last = (reference / "seal.json").stat().st_mtime - commits[-1]
        # Seconds of a run that finds every shard done, but no seal.
        (reference / "seal.json").unlink()
        started = time.time()
        self._extract(reference)
        self.sealing = time.time() - started

    def __call__(self, number: int) -> Record:
        chance = random.Random(f"{self.seed} {number}")
        cache, temporary = self.out / f"cache-{number:05}", self.out / f"temporary-{number:05}"
        for folder in (cache, temporary):
            shutil.rmtree(folder, ignore_errors=True)  # of a benchmark that was stopped
        temporary.mkdir()
        killed = kill_until_done(
            cache,
            lambda: self._command(cache, workers=1 if chance.random() < 0.8 else 2),
            {**ONE_THREAD, "TMPDIR": str(temporary)},
            lambda: self._moment(cache, chance),
            phase_of,
            chance,
            KILLS,
        )
        problems = killed.problems
        if not problems and killed.last.stderr:
            problems.append(f"stderr: {killed.last.stderr[:500]}")
        if not problems and (names := _differing(contents(cache), self.expected)):
            problems.append(f"other bytes: {names}")
        if not problems:
            shutil.rmtree(cache)
        left = sum(1 for _ in temporary.iterdir())
        shutil.rmtree(temporary)
        return {
            "kills": killed.kills,
            "problems": [f"{cache}: {text}" for text in problems],
            "left_in_TMPDIR": left,
            "semaphores_left": killed.semaphores,
        }

    def _extract(self, cache: Path) -> None:
        ended = run_command(self._command(cache, workers=1), ONE_THREAD)
        if ended.code or ended.stderr:
            raise SystemExit(f"the undisturbed extraction failed: {ended.stderr}")

    def _command(self, cache: Path, workers: int) -> list[object]:
        command = [installed("pipeline"), "extract", self.clips, "--out", cache, "--json", "--frames", 1]
        return [*command, "--shard-clips", SHARD_CLIPS, "--workers", workers]

    def _moment(self, cache: Path, chance: random.Random) -> IsDue:
        """Choose a moment: while it starts, within one of the next shards, after it, or after the last one."""
        folders = {name: cache / name for name in ("faces", "commits")}
        before = {name: _shards(folder) for name, folder in folders.items()}
        left = SHARDS - len(before["commits"])
        if not left:
            return at(chance.uniform(0, self.sealing))
        if chance.random() < 0.15:
            return at(chance.uniform(0, self.first))
        more = left if chance.random() < 0.1 else chance.randint(1, min(2, left))
        place = chance.choice(["faces", "commits"])
        span = self.writing if place == "faces" else self.last if more == left else self.each
        return after(lambda: len(_shards(folders[place]) - before[place]) >= more, chance.uniform(0, span))


def phase_of(before: Files, after: Files) -> str:
    """Where a kill found an extraction, from its files before the run and after it."""
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


def _shards(folder: Path) -> set[tuple[str, int]]:
    """The shards with a file in a folder, finished or not, and its inode: a file that is replaced has another one."""
    found = set()
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        found = {(entry.name.strip(".")[:5], entry.inode()) for entry in entries}
    return found


def _differing(found: dict[Path, bytes], expected: dict[Path, bytes]) -> list[str]:
    names = found.keys() | expected.keys()
    return sorted(str(name) for name in names if found.get(name) != expected.get(name))


def main() -> None:
    options = arguments(__doc__, kills=1000, chains=2)
    run_kills(options, Chains(options.out, options.seed))


if __name__ == "__main__":
    main()
