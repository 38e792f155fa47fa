"""What is in the folder where a run is to be trained: nothing, this run, or something else."""

from pathlib import Path

from dfer.schemas.read_cache import refuse_inside_cache
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.text import counted
from dfer.train.data.caches import Pool
from dfer.train.engine import checkpoint
from dfer.train.engine.checkpoint import Checkpoint
from dfer.train.engine.experiment import Experiment, difference, origin_of, started_from
from dfer.train.engine.weights import FROM_SCRATCH
from dfer.train.results import run_folder


def require_trainable_in(out: Path, experiment: Experiment, pool: Pool) -> None:
    """Raise UserError if `train_run` would refuse the clips, or what is in the folder.

    Weights to start from may be made later.
    """
    split = experiment.choose(pool)
    if out.exists():
        experiment = experiment.settled(pool)
        known = {**dict.fromkeys(FROM_SCRATCH.hashes(), "made later"), **started_from(out)}
        _has_steps(out, experiment, origin_of(experiment, pool, split, known))


def _has_steps(out: Path, experiment: Experiment, origin: dict) -> bool:
    """Whether the folder contains steps of this run. Raises UserError if it contains something else."""
    refuse_inside_cache(out)
    if not out.exists() or _is_empty(out):
        return False
    if not (out / run_folder.RUN).exists():
        raise UserError(f"{out} already exists and is not a run; choose another --out")
    if not (out / run_folder.LAST).exists():
        return False  # stopped before its first save: nothing is lost, whatever it was
    other = difference(out, experiment.config, origin)
    if other:
        raise UserError(f"{out} contains another run (made with {other}); choose another --out")
    return True


def saved_state(out: Path, experiment: Experiment, origin: dict, *, resume: bool) -> Checkpoint | None:
    """The checkpoint to continue from, None if there is none.

    Raises UserError as `_has_steps`, or if `resume` is missing.
    """
    if not _has_steps(out, experiment, origin):
        return None
    saved = checkpoint.load(out / run_folder.LAST)
    epochs = experiment.config.recipe.epochs
    if saved.epoch < epochs and not resume:
        raise UserError(
            f"{out} contains this run, stopped after {saved.epoch} of {counted(epochs, 'epoch')}; "
            "add --resume to continue it"
        )
    return saved


def _is_empty(out: Path) -> bool:
    """Whether a folder is empty, or has only what is written before run.json."""
    return out.is_dir() and all(path.name in run_folder.BEGINNING for path in out.iterdir())


def is_finished(out: Path, saved: Checkpoint) -> bool:
    """Whether the run of this checkpoint is finished, with all its results."""
    epochs = saved.config.recipe.epochs
    return saved.epoch == epochs and all((out / name).exists() for name in run_folder.RESULTS)
