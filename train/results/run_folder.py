"""What a folder is: a run, a cache, or a folder of several runs, by the names of its files; and what is refused where
it is another."""

from contextlib import AbstractContextManager
from pathlib import Path

from dfer.schemas.cache import COMMIT_FILE, INFO_FILE, SEAL_FILE, SHARD_FILES, SINGLE_FILES
from dfer.schemas.read_cache import refuse_inside_cache
from dfer.schemas.support import files
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.files import target_file

RUN, SETTINGS, WEIGHTS = "run.json", "settings.toml", "weights.json"  # run.json: only a run's folder has it
CHECKPOINTS = LAST, BEST = "last.pt", "best.pt"
METRICS, METRIC_LINES = "metrics.csv", "metrics.jsonl"
PREDICTIONS, BEST_PREDICTIONS, CONFUSION = "predictions.parquet", "predictions_best.parquet", "confusion.png"
RESULTS = (PREDICTIONS, BEST_PREDICTIONS, CONFUSION)
CROSSVAL, SWEEP, SWEEP_PLOT = "crossval.csv", "sweep.csv", "sweep.png"  # beside several runs
# Of a run, a cross-validation or a sweep, and of a cache; each beside a file that tells what the folder is.
OWN_FILES = {
    *(RUN, SETTINGS, WEIGHTS, *CHECKPOINTS, METRICS, METRIC_LINES),
    *(*RESULTS, CROSSVAL, SWEEP, SWEEP_PLOT),
    *(*SINGLE_FILES, SEAL_FILE),
}
SHARD_FOLDERS = {Path(name).parent.name for name in (COMMIT_FILE, *SHARD_FILES.values())}
TOLD_BY = (RUN, CROSSVAL, SWEEP, INFO_FILE)


def writing(out: Path) -> AbstractContextManager[None]:
    """Turn an OSError while a run is written into a UserError with advice."""
    return files.writing(f"the run {out}", "run the same command again (`train run`: with --resume)")


def refuse_what_is_one(out: Path) -> None:
    """Raise UserError where the folder for several runs is a run, or of a cache: its files would be replaced."""
    refuse_inside_cache(out)
    if (out / RUN).exists():
        raise UserError(f"{out} is a run; give another --out for several runs")


def refuse_what_is_no_run(folder: Path) -> None:
    """Raise UserError where a folder is a cache, or no run but holds some: a cross-validation's, or a sweep's."""
    if any((folder / name).exists() for name in (RUN, *CHECKPOINTS)):
        return
    if (folder / INFO_FILE).exists():
        raise UserError(f"{folder} is a cache, where a run is needed")
    runs = sorted(path.parent for depth in ("*", "*/*") for path in folder.glob(f"{depth}/{RUN}"))
    if runs:
        raise UserError(f"{folder} holds several runs; give one of them, such as {runs[0]}")


def own_target(path: Path, option: str = "--out", suffixes: tuple[str, ...] = ()) -> Path:
    """As `target_file`, and no file that a run or a cache is made of. Raises UserError."""
    target = target_file(path, option, suffixes)
    in_folder = target.name in OWN_FILES and any((target.parent / name).exists() for name in TOLD_BY)
    in_shards = target.parent.name in SHARD_FOLDERS and (target.parent.parent / INFO_FILE).exists()
    if in_folder or in_shards:
        raise UserError(f"{option} {path}: that name is of a run's or a cache's own file; give another one")
    return target
