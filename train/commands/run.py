"""`train run`: open the caches, choose the split, and train a network from the start or from a saved state."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console

from dfer.schemas.support.errors import UserError
from dfer.schemas.support.folder_lock import FolderLock
from dfer.schemas.support.processes import available_cores, stop_request
from dfer.schemas.support.text import counted
from dfer.train.commands import progress
from dfer.train.commands.progress import Notices, print_line
from dfer.train.commands.run_contents import is_finished, saved_state
from dfer.train.data.caches import Pool, open_pool
from dfer.train.data.landmark_features import LandmarkFeatures
from dfer.train.data.leaks import overlap
from dfer.train.data.loader import worker_deaths_explained
from dfer.train.data.splits import Split
from dfer.train.engine import distributed, loop
from dfer.train.engine.checkpoint import Checkpoint
from dfer.train.engine.device import check_compiler, choose_device
from dfer.train.engine.distributed import World
from dfer.train.engine.experiment import (
    Experiment,
    RunOptions,
    library_versions,
    origin_of,
    started_from,
)
from dfer.train.engine.fit_landmarks import fit_landmarks
from dfer.train.engine.precision import check_gradients, check_precision
from dfer.train.engine.training import Training
from dfer.train.engine.weights import Loaded
from dfer.train.models.registry import build
from dfer.train.results import run_folder
from dfer.train.results.baseline import baseline_figures, keep_baseline
from dfer.train.results.figures import Figures
from dfer.train.results.logs import EpochRow

STOPPING = "stopping after this step; press Ctrl-C again to stop now"
MAX_LOADER_WORKERS = 8


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """A finished run: the metrics of its epochs, its split, and whether it was finished before this call.

    baseline: figures of the landmark baseline on the same test clips, None if it has none
    """

    rows: list[EpochRow]
    split: Split
    baseline: Figures | None = None
    already_finished: bool = False


def train_run(
    folders: Sequence[Path],
    out: Path,
    experiment: Experiment,
    run_options: RunOptions,
    *,
    resume: bool,
    notices: Notices | None = None,
) -> RunResult | None:
    """Train a run; do nothing if `out` contains the same run, finished.

    folders: of the caches
    out: the run's folder
    resume: continue the same run if it is unfinished; without it that is an error
    notices: shared by the runs of a command; None: it has only this one

    Returns None in all but the first of several processes.
    Raises UserError for a cache, a split, a device, weights or a folder that cannot be used.
    """
    device = choose_device(run_options.device)
    with distributed.join(device) as world, ExitStack() as stack:
        with distributed.agreed(world):
            pool = open_pool(*folders)
            wants_scores = experiment.config.settled(scores=True).network.takes_expressions
            experiment = experiment.settled(pool)
            split = experiment.choose(pool)
            origin = origin_of(experiment, pool, split, started_from(out))
            saved = saved_state(out, experiment, origin, resume=resume) if world.first else None
        # Processes on other machines may not see the folder.
        saved = distributed.from_first(saved, world)
        if distributed.from_first(saved is not None and is_finished(out, saved), world):
            return RunResult(rows=[*saved.rows], split=split, already_finished=True) if world.first else None
        origin["versions"] = library_versions()
        origin["extraction"] = pool.extraction  # `cache_settings_hash` stands for it where runs are compared
        with distributed.agreed(world):
            features = LandmarkFeatures.of_split(pool, split)
            training, loaded = _prepare(experiment, features, split, device, world, run_options, saved)
            run = loop.Run(
                training,
                out,
                origin,
                save_minutes=run_options.save_minutes,
                tensorboard=run_options.tensorboard,
            )
            if saved:
                run.restore(saved)
            stack.enter_context(_locked(out, world))
        notices = notices or Notices()
        rows = _train(run, saved, loaded, features, notices, wants_scores=wants_scores)
        if not world.first:
            return None
        return RunResult(rows=rows, split=split, baseline=baseline_figures(out, pool.labels))


def _prepare(
    experiment: Experiment,
    features: LandmarkFeatures,
    split: Split,
    device: torch.device,
    world: World,
    run_options: RunOptions,
    saved: Checkpoint | None,
) -> tuple[Training, Loaded | None]:
    """A training at its start, and what was loaded of the weights it starts from. Raises UserError."""
    config, pool = experiment.config, features.pool
    check_precision(config.execution.precision, device)
    if config.execution.compile:
        check_compiler(device)
    task = config.task(len(pool.labels), pool.keypoints, pool.labels)
    network = build(config.model, config.network, task, config.recipe.seed)
    check_gradients(network, config.execution.precision, device)
    loaded = None if saved else experiment.start.load_into(network, pool.labels)
    if not saved:
        fit_landmarks(network, config, features, split.train)
    workers = run_options.loader_workers
    training = Training(
        config,
        pool,
        split,
        device,
        network,
        world=world,
        loader_workers=_default_workers(device, world) if workers is None else workers,
        pretrained_on=loaded.trained_on if loaded else (),
        loaded=_loaded_names(saved, loaded),
    )
    return training, loaded


def _loaded_names(saved: Checkpoint | None, loaded: Loaded | None) -> Sequence[str]:
    """Names of the weights that the run was started with. Raises UserError if the checkpoint has none."""
    if not saved:
        return loaded.complete if loaded else ()
    names = saved.state.get("loaded")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError("the checkpoint is damaged: its state does not fit its settings")
    return names


@worker_deaths_explained()
def _train(
    run: loop.Run,
    saved: Checkpoint | None,
    loaded: Loaded | None,
    features: LandmarkFeatures,
    notices: Notices,
    *,
    wants_scores: bool,
) -> list[EpochRow]:
    """Train to the end and show the progress on stderr. wants_scores: whether to say if there are none to use."""
    training, world, pool = run.training, run.training.world, features.pool
    console = Console(stderr=True, quiet=not world.first)
    some_have_scores = len(pool.without_expressions) < len(pool.caches)
    left_out = pool.scores_left_out if some_have_scores or wants_scores else None
    for note in filter(notices.first, filter(None, (*pool.notes, left_out, *training.split.notes))):
        print_line(console, note)
    if saved:
        _print_resume(console, training, saved)
    elif world.first:
        loop.start_folder(run.out, training, pool.folders, run.origin, loaded)
        if loaded:
            if notices.first(str(loaded)):
                progress.print_loaded(console, loaded, training.config.recipe.loaded_lr)
            _warn_of_overlap(console, training, loaded, pool, notices)
    _print_start(console, training)
    if world.first and not (saved and (run.out / run_folder.BASELINE).exists()):
        print_line(console, keep_baseline(run.out, features, training.split, run.origin))
    with (
        closing(training),
        stop_request(STOPPING) as stop,
        progress.training_progress(console, training, notices) as watch,
    ):
        return run.finish(watch, stop)


@contextmanager
def _locked(out: Path, world: World) -> Iterator[None]:
    """Make the run's folder and lock it until the block ends. Raises UserError."""
    if not world.first:
        yield
        return
    with run_folder.writing(out):
        out.mkdir(parents=True, exist_ok=True)
        lock = FolderLock(out)
    with lock:
        if not lock.take(shared=False):
            raise UserError(f"{out}: another training run is using this folder; wait until it has finished")
        yield


def _print_start(console: Console, training: Training) -> None:
    world = training.world
    where = f"{world.size} processes ({training.device.type})" if world.size > 1 else training.device
    unusable = len(training.split.train) - len(training.clips)
    left_out = f" ({unusable} more without a usable face)" if unusable else ""
    print_line(
        console,
        f"{counted(len(training.clips), 'training clip')}{left_out}, {len(training.labels)} classes, on {where}; "
        f"testing on {training.split.description}",
    )


def _print_resume(console: Console, training: Training, saved: Checkpoint) -> None:
    within = f" and {counted(training.consumed, 'clip')} of the next" if training.consumed else ""
    print_line(console, f"resuming after epoch {training.epoch}{within}")
    threads, processes = saved.state["threads"], saved.state.get("processes", 1)
    if processes != training.world.size:
        print_line(
            console,
            f"warning: {training.world.size} instead of {processes} processes: the clips come in the same order, but "
            "batch norm sees other parts of a step, so the weights will differ from those of an uninterrupted run",
        )
    elif training.device.type == "cpu" and threads != torch.get_num_threads():
        print_line(
            console,
            f"warning: {torch.get_num_threads()} instead of {threads} threads: the weights will differ in rounding "
            f"from those of an uninterrupted run; set OMP_NUM_THREADS={threads} to avoid it",
        )


def _warn_of_overlap(
    console: Console, training: Training, loaded: Loaded, pool: Pool, notices: Notices
) -> None:
    tested = pool.clips if notices.of_folds else training.split.test
    known = overlap(tested, loaded.trained_on)
    if known and not training.split.seen:
        noun = "clip" if notices.of_folds else "test clip"
        count = f"{len(known)} of {counted(len(tested), noun)}"
        line = f"warning: {loaded.source} was trained on {count}, such as {known[0]}"
        if notices.first(line):
            print_line(console, line)


def _default_workers(device: torch.device, world: World) -> int:
    """JPEG-decoding processes: none on a CPU, where they would compete with the training for its cores."""
    if device.type == "cpu":
        return 0
    return max(1, min(MAX_LOADER_WORKERS, available_cores() // world.local_size - 1))
