"""Kill `train run` two hundred times: each run that is finished afterwards must have the usual weights.

    PYTHONPATH=tests/helpers python tests/benchmarks/killed_training.py OUT [--kills 200] [--chains 2]

A small network is trained on a made-up cache, two epochs of four steps, saving after every step or every half
second. SIGKILL comes at a random moment, to the process alone and to its process group in turn, and the command runs
again with --resume, up to ten times; then it may finish. Checked: weights, moments, averages, predictions and figures
are bit for bit those of a run that nobody disturbed, no process is left, and the folder has the same files. A run
with a problem is kept in OUT. `--minutes` ends early; the same command continues. A checkpoint has 200 MB: an OUT in
memory (/dev/shm) spares the disk some 100 GB of writing.
"""

import random
import shutil
import time
import traceback
from pathlib import Path

import made_up
from endurance import Record, arguments
from kills import Files, IsDue, after, at, kill_until_done, run_kills
from same_run import assert_same_run
from sessions import installed, run_command

from dfer.schemas.support.files import temporary_name
from dfer.train.results.run_folder import LAST

EPOCHS = 2
STEPS = 4  # of an epoch: eight clips, two a step, one a part
KILLS = (2, 10)  # of one run, at least and at most
OPTIONS = (
    *(*made_up.TINY, "--batch-size", 2, "--accumulate", 2, "--epochs", EPOCHS, *made_up.EXTRAS),
    "--resume",
)
SAVING_SECONDS = 0.2
ONE_THREAD = {"OMP_NUM_THREADS": "1"}  # the bits depend on the number of threads


class Chains:
    """Trains runs that are killed on the way."""

    def __init__(self, out: Path, seed: int) -> None:
        """Make the cache, and train on it undisturbed."""
        self.out, self.seed, self.reference = out, seed, out / "undisturbed"
        shutil.rmtree(self.reference, ignore_errors=True)
        shutil.rmtree(out / "made-up", ignore_errors=True)
        parts = ["train"] * 2 * STEPS + ["test"] * 4
        clips = [made_up.clip("ab"[n % 2], n, split=part) for n, part in enumerate(parts)]
        self.cache = made_up.cache(out, "made-up", clips)
        saves: dict[int, float] = {}

        def note_saves(seconds: float) -> bool:
            if written := _written(self.reference / LAST):
                saves.setdefault(written, seconds)
            return False

        started = time.monotonic()
        ended = run_command(self._command(self.reference, 0, 0), ONE_THREAD, note_saves)
        if ended.code:
            raise SystemExit(f"the undisturbed training failed: {ended.stderr}")
        # Seconds to the first save, from one to the next, and from the last to the end.
        self.first, *_, last = saves.values()
        self.each = (last - self.first) / (len(saves) - 1)
        self.last = time.monotonic() - started - last

    def __call__(self, number: int) -> Record:
        chance = random.Random(f"{self.seed} {number}")
        run = self.out / f"run-{number:05}"
        shutil.rmtree(run, ignore_errors=True)  # of a benchmark that was stopped
        killed = kill_until_done(
            run,
            lambda: self._command(run, chance.choice([0, 0.01]), chance.choice([0, 0, 0, 1])),
            ONE_THREAD,
            lambda: self._moment(run, chance),
            phase_of,
            chance,
            KILLS,
        )
        problems = killed.problems
        if not problems:
            try:
                assert_same_run(run, self.reference)
                shutil.rmtree(run)
            except Exception:
                problems.append(f"another run: {' | '.join(traceback.format_exc().splitlines()[-4:])}")
        return {"kills": killed.kills, "problems": [f"{run}: {text}" for text in problems]}

    def _command(self, run: Path, save_minutes: float, loader_workers: int) -> list[object]:
        command = [installed("train"), "run", self.cache, "--out", run, *OPTIONS]
        return [*command, "--save-minutes", save_minutes, "--loader-workers", loader_workers]

    def _moment(self, run: Path, chance: random.Random) -> IsDue:
        """Choose a moment: while it starts, saves, takes one of its next steps, or after the last one."""
        kind = chance.random()
        if kind < 0.15:
            return at(chance.uniform(0, self.first))
        if kind < 0.3:
            return after(lambda: _epochs_done(run) == EPOCHS, chance.uniform(0, self.last))
        last, unfinished = run / LAST, temporary_name(run / LAST)
        before = {_written(last), _written(unfinished), 0}
        saves, wanted = set(), chance.randint(0, 1)

        def is_saving() -> bool:
            saves.add(_written(last))
            return len(saves - before) >= wanted and _written(unfinished) not in before

        def has_saved() -> bool:
            saves.add(_written(last))
            return len(saves - before) > wanted

        if kind < 0.6:
            return after(is_saving, chance.uniform(0, SAVING_SECONDS))
        return after(has_saved, chance.uniform(0, self.each))


def phase_of(before: Files, after: Files) -> str:
    """Where a kill found a run, from its files before the run and after it."""
    if "run.json" not in after:
        return "before the run's folder is made"
    if any(name.endswith(".pt.tmp") and before.get(name) != written for name, written in after.items()):
        return "while a checkpoint is written"
    if before.get("last.pt") == after.get("last.pt"):
        return "before the first step of a run or a resumed one is saved"
    if before.get("predictions.parquet") != after.get("predictions.parquet"):
        return "after an epoch"
    return "between two saves"


def _written(path: Path) -> int:
    """When a file was written, ns; 0 if it is not there."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _epochs_done(run: Path) -> int:
    try:
        return (run / "metrics.jsonl").read_text().count("\n")
    except FileNotFoundError:
        return 0


def main() -> None:
    options = arguments(__doc__, kills=200, chains=2)
    run_kills(options, Chains(options.out, options.seed))


if __name__ == "__main__":
    main()
