"""What `train run` does: open a cache, choose the split, train from the start or from where a run stopped."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console

from dfer.schemas.read_cache import refuse_inside_cache
from dfer.schemas.support.commands import printable
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.files import temporary_name
from dfer.schemas.support.folder_lock import FolderLock
from dfer.schemas.support.processes import available_cores, stop_request
from dfer.schemas.support.text import counted
from dfer.train.commands import progress
from dfer.train.data.caches import Pool, open_pool
from dfer.train.data.leaks import overlap
from dfer.train.data.splits import Split
from dfer.train.engine import checkpoint, distributed, loop
from dfer.train.engine.device import choose_device
from dfer.train.engine.distributed import World
from dfer.train.engine.experiment import (
    Experiment,
    RunOptions,
    difference,
    library_versions,
    origin_of,
    started_from,
)
from dfer.train.engine.precision import check_precision
from dfer.train.engine.training import Training
from dfer.train.engine.weights import Loaded
from dfer.train.models.keypoint.network import build
from dfer.train.results import run_folder
from dfer.train.results.logs import EpochRow

STOPPING = "stopping after this step; press Ctrl-C again to stop now"


@dataclass(frozen=True, kw_only=True)
class Trained:
    """How a run ended: the figures of its epochs, what it was judged on, whether it was finished before."""

    rows: list[EpochRow]
    split: Split
    already: bool = False


def start(
    folders: Sequence[Path], out: Path, experiment: Experiment, run_options: RunOptions, *, resume: bool
) -> Trained | None:
    """Train a run on one cache or several; a finished one that is the same is left as it is, an unfinished one needs
    `resume`.

    None in all but the first of several processes.
    Raises UserError for a cache, a split, a device, weights or a folder that cannot be used.
    """
    device = choose_device(run_options.device)
    check_precision(experiment.config.execution.precision, device)
    with distributed.join(device) as world, ExitStack() as held:
        with distributed.agreed(world):
            pool = open_pool(*folders)
            experiment = experiment.settled(pool)
            split = experiment.choose(pool)
            origin = origin_of(experiment, pool, split, started_from(out))
            kept = _kept(out, experiment, origin, resume=resume) if world.first else None
        # Other machines need not see the folder.
        kept = distributed.from_first(kept, world)
        if distributed.from_first(kept is not None and _is_finished(out, kept), world):
            return Trained(rows=[*kept.rows], split=split, already=True) if world.first else None
        origin["versions"] = library_versions()
        with distributed.agreed(world):
            training, loaded = _prepare(experiment, pool, split, device, world, run_options, kept)
            run = loop.Run(
                training,
                out,
                origin,
                save_minutes=run_options.save_minutes,
                tensorboard=run_options.tensorboard,
            )
            if kept:
                run.restore(kept)
            held.enter_context(_alone_in(out, world))
        rows = _train(run, kept, loaded, pool)
        return Trained(rows=rows, split=split) if world.first else None


def _is_finished(out: Path, kept: checkpoint.Checkpoint) -> bool:
    return kept.epoch == kept.config.recipe.epochs and all(
        (out / name).exists() for name in run_folder.RESULTS
    )


def _prepare(
    experiment: Experiment,
    pool: Pool,
    split: Split,
    device: torch.device,
    world: World,
    run_options: RunOptions,
    kept: checkpoint.Checkpoint | None,
) -> tuple[Training, Loaded | None]:
    """A training at its start, and what became of the weights that it starts from. Raises UserError."""
    config = experiment.config
    network = build(config.network, len(pool.labels), config.data.num_frames, config.recipe.seed)
    loaded = None if kept else experiment.start.load_into(network, pool.labels)
    training = Training(
        config,
        pool,
        split,
        device,
        network,
        world=world,
        loader_workers=_workers(device, world)
        if run_options.loader_workers is None
        else run_options.loader_workers,
        pretrained_on=loaded.trained_on if loaded else (),
    )
    return training, loaded


def _train(
    run: loop.Run, kept: checkpoint.Checkpoint | None, loaded: Loaded | None, pool: Pool
) -> list[EpochRow]:
    """Train from a checkpoint, or from the start, to the end, and say on stderr how it goes."""
    training, world = run.training, run.training.world
    console = Console(stderr=True, quiet=not world.first)
    progress.print_notes(console, [*pool.notes, *training.split.notes])
    if kept:
        _say_where_it_goes_on(console, training, kept)
    elif world.first:
        loop.start_folder(run.out, training, pool.folders, run.origin, loaded)
        progress.print_loaded(console, loaded)
        if loaded:
            _say_what_was_seen_before(console, training, loaded)
    where = f"{world.size} processes ({training.device.type})" if world.size > 1 else training.device
    console.print(
        f"{_usable_of(training)}, {len(training.labels)} classes, on {where}; "
        f"tested on {training.split.description}",
        soft_wrap=True,
        markup=False,
    )
    with (
        closing(training),
        stop_request(STOPPING) as stop,
        progress.training_progress(console, training) as watch,
    ):
        return run.finish(watch, stop)


def _usable_of(training: Training) -> str:
    """How many clips are trained on, and how many had to be left."""
    unusable = len(training.split.train) - len(training.clips)
    left = f" ({unusable} more without a usable face)" if unusable else ""
    return f"{counted(len(training.clips), 'training clip')}{left}"


@contextmanager
def _alone_in(out: Path, world: World) -> Iterator[None]:
    """Keep other trainings out of a run's folder, which is made, until the block ends. Raises UserError."""
    if not world.first:
        yield
        return
    with run_folder.writing(out):
        out.mkdir(parents=True, exist_ok=True)
        lock = FolderLock(out)
    with lock:
        if not lock.take(shared=False):
            raise UserError(f"{out}: another training is at work in it; wait until it has ended")
        yield


def _kept(out: Path, experiment: Experiment, origin: dict, *, resume: bool) -> checkpoint.Checkpoint | None:
    """Where the run in the folder stands, None where there is none. Raises UserError where it is another run."""
    refuse_inside_cache(out)
    if not out.exists() or _is_empty(out):
        return None
    if not (out / run_folder.RUN).exists():
        raise UserError(f"{out} is there and is not a run; give another --out")
    other = difference(out, experiment.config, origin)
    if other:
        raise UserError(f"{out} holds another run ({other}); give another --out")
    if not (out / run_folder.LAST).exists():
        return None  # killed before it was saved once
    kept = checkpoint.load(out / run_folder.LAST)
    if len(kept.rows) != kept.epoch:
        raise UserError(
            f"{out / run_folder.LAST} is damaged: it has the figures of {len(kept.rows)} epochs, not {kept.epoch}"
        )
    if kept.epoch < experiment.config.recipe.epochs and not resume:
        raise UserError(
            f"{out} holds this run after {counted(kept.epoch, 'epoch')}; --resume goes on with it"
        )
    return kept


def _is_empty(out: Path) -> bool:
    """Whether a folder holds nothing, or only what a run leaves that was killed before its run.json."""
    names = (run_folder.SETTINGS, run_folder.WEIGHTS, run_folder.RUN)
    whole = {out / name for name in names[:-1]}
    own = whole | {temporary_name(out / name) for name in names}
    return out.is_dir() and all(path in own for path in out.iterdir())


def _say_where_it_goes_on(console: Console, training: Training, kept: checkpoint.Checkpoint) -> None:
    within = f" and {counted(training.consumed, 'clip')}" if training.consumed else ""
    console.print(f"going on after {counted(training.epoch, 'epoch')}{within}", soft_wrap=True)
    threads, processes = kept.state["threads"], kept.state.get("processes", 1)
    if processes != training.world.size:
        console.print(
            f"warning: processes: {training.world.size} now, {processes} before; the samples come in the same order, "
            "but batch norm sees other parts of a step: weights will differ from those of a run never stopped",
            soft_wrap=True,
        )
    elif training.device.type == "cpu" and threads != torch.get_num_threads():
        console.print(
            f"warning: {torch.get_num_threads()} threads now, {threads} before: weights will differ in rounding "
            f"from those of a run never stopped (OMP_NUM_THREADS={threads} gives the same)",
            soft_wrap=True,
        )


def _say_what_was_seen_before(console: Console, training: Training, loaded: Loaded) -> None:
    known = overlap(training.split.test, loaded.trained_on)
    if known and not training.split.seen:
        of = f"{len(known)} of {len(training.split.test)}"
        console.print(
            printable(f"warning: test clips that {loaded.source} was trained on: {of}, such as {known[0]}"),
            soft_wrap=True,
            markup=False,
        )


def _workers(device: torch.device, world: World) -> int:
    """JPEG-decoding processes where none are asked for: none on a CPU, where they would take the step's cores."""
    if device.type == "cpu":
        return 0
    return max(1, min(8, available_cores() // world.local_size - 1))
