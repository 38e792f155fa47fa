"""Names of the files in a run's folder, and checks of what a folder is: a run, several runs, or a cache."""

from contextlib import AbstractContextManager
from pathlib import Path

from dfer.schemas.cache import COMMIT_FILE, INFO_FILE, SEAL_FILE, SHARD_FILES, SINGLE_FILES
from dfer.schemas.read_cache import refuse_inside_cache
from dfer.schemas.support import files
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.files import target_file, temporary_name

RUN, SETTINGS, WEIGHTS = "run.json", "settings.toml", "weights.json"
CHECKPOINTS = LAST, BEST = "last.pt", "best.pt"
METRICS, METRIC_LINES = "metrics.csv", "metrics.jsonl"
PREDICTIONS, BEST_PREDICTIONS, CONFUSION = "predictions.parquet", "predictions_best.parquet", "confusion.png"
BASELINE = "baseline.parquet"
RESULTS = (PREDICTIONS, BEST_PREDICTIONS, CONFUSION)
CROSSVAL, SWEEP, SWEEP_PLOT = "crossval.csv", "sweep.csv", "sweep.png"
COMPARISON, COMPARISON_PLOT, COMPARISON_PAGE = "compare.csv", "compare.png", "compare.html"

# Commands that train several runs, by the table that they write.
KINDS = {CROSSVAL: "a cross-validation", SWEEP: "a sweep", COMPARISON: "a comparison"}
# What a run's folder has before run.json.
BEGINNING = {SETTINGS, WEIGHTS, *(temporary_name(Path(name)).name for name in (SETTINGS, WEIGHTS, RUN))}

# A folder with one of these is a run, several runs or a cache. Commands that write other files must
# not overwrite OWN_FILES there.
MARKER_FILES = (RUN, CROSSVAL, SWEEP, COMPARISON, INFO_FILE)
OWN_FILES = {
    *(RUN, SETTINGS, WEIGHTS, *CHECKPOINTS, METRICS, METRIC_LINES),
    *(*RESULTS, BASELINE, CROSSVAL, SWEEP, SWEEP_PLOT, COMPARISON, COMPARISON_PLOT),
    *(*SINGLE_FILES, SEAL_FILE),
}
SHARD_FOLDERS = {Path(name).parent.name for name in (COMMIT_FILE, *SHARD_FILES.values())}


def writing(out: Path) -> AbstractContextManager[None]:
    """Turn an OSError while a run is written into a UserError with advice."""
    return files.writing(f"the run {out}", retry="run the same command again (`train run`: with --resume)")


def require_run(folder: Path) -> None:
    """Raise UserError if a folder is a cache, or contains several runs (a cross-validation or a sweep)."""
    if any((folder / name).exists() for name in (RUN, *CHECKPOINTS)):
        return
    if (folder / INFO_FILE).exists():
        raise UserError(f"{folder} is a cache; give the folder of a run")
    runs = sorted(path.parent for depth in ("*", "*/*", "*/*/*") for path in folder.glob(f"{depth}/{RUN}"))
    if runs:
        raise UserError(f"{folder} contains several runs; give one of them, such as {runs[0]}")


def require_trained(run: Path, wanted: str = "the folder of a run") -> None:
    """Raise UserError unless there is a folder of this name, and it may be a run.

    wanted: what the command takes, for the message
    """
    if run.name in CHECKPOINTS and run.is_file():
        flag = " and add --checkpoint best" if run.name == BEST else ""
        raise UserError(f"{run} is a file of a run; give its folder {run.parent}{flag}")
    if run.is_file():
        raise UserError(f"{run} is a file; give {wanted}")
    if not run.is_dir():
        raise UserError(f"no such run: {run}; make it with `train run CACHE --out {run}`")
    require_run(run)


def require_own(out: Path, table: str) -> None:
    """Raise UserError unless the folder for several runs is free, or has what this command wrote.

    table: what it writes at last: CROSSVAL, SWEEP or COMPARISON
    """
    refuse_run_or_cache(out)
    others = any((out / name).exists() for name in KINDS if name != table)
    has_runs = any(True for depth in ("*", "*/*", "*/*/*") for _ in out.glob(f"{depth}/{RUN}"))
    # Stopped before its first run began, it left no more than folders and these.
    if others or not (has_runs or all(path.is_dir() or path.name in BEGINNING for path in out.rglob("*"))):
        raise UserError(f"{out} already exists and is not {KINDS[table]}; choose another --out")


def refuse_run_or_cache(out: Path) -> None:
    """Raise UserError if the folder for several runs is a run or in a cache: files of it would be overwritten."""
    refuse_inside_cache(out)
    if (out / RUN).exists():
        raise UserError(f"{out} is a single run; choose another --out")


def output_file(path: Path, option: str = "--out", suffixes: tuple[str, ...] = ()) -> Path:
    """Check where a file is to be written: as `target_file`, and never over a file of a run or a cache.

    option: the flag that names the file, for the message
    suffixes: allowed endings of the name, in lower case; any if empty

    Returns the path with links followed.
    Raises UserError.
    """
    target = target_file(path, option, suffixes)
    in_folder = target.name in OWN_FILES and any((target.parent / name).exists() for name in MARKER_FILES)
    in_shards = target.parent.name in SHARD_FOLDERS and (target.parent.parent / INFO_FILE).exists()
    if in_folder or in_shards:
        raise UserError(f"{option} {path}: would overwrite a file of the run or cache; choose another name")
    return target
