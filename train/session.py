"""What the commands do: open a cache, choose the split, train or judge, say so on the terminal."""

import json
from pathlib import Path

import polars as pl
from rich.console import Console

from schemas.errors import UserError
from schemas.files import atomic_file
from train import checkpoint, evaluate, loop, report
from train.config import TrainConfig
from train.device import choose_device
from train.loader import Loader
from train.shards import Cache, usable
from train.splits import choose_split


def start(
    cache_folder: Path,
    out: Path,
    config: TrainConfig,
    *,
    fold: int | None,
    holdout: float,
    device_name: str,
    loader_workers: int,
) -> None:
    """Train a run from its beginning; a finished one with the same settings is left as it is.

    Raises UserError for a cache, a split, a device or a folder that cannot be used.
    """
    device = choose_device(device_name)
    cache = Cache(cache_folder)
    split = choose_split(cache.clips, fold, holdout, config.recipe.seed)
    origin = {
        "cache_dataset": cache.info.dataset,
        "cache_settings_hash": cache.info.settings_hash,
        "fold": fold,
        "holdout": holdout,
    }
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        _refuse_unless_finished(out, config, origin)
        print(f"nothing to do: {out} holds all {config.recipe.epochs} epochs of this run")
        return
    training = loop.Training(config, cache, split, device, loader_workers)
    loop.start_run(out, training, origin)
    console = Console(stderr=True)
    console.print(
        f"{len(training.clips)} training clips, {len(training.labels)} classes, on {device}; "
        f"tested on {split.description}",
        soft_wrap=True,
    )
    with report.training_progress(console, config.recipe.epochs, len(training.clips)) as (on_step, on_epoch):
        rows = loop.run(training, out, on_step=on_step, on_epoch=on_epoch)
    report.print_run(rows, split, out)


def evaluate_run(
    run: Path, cache_folder: Path, which: str, clips: str, *, device_name: str, loader_workers: int
) -> evaluate.Evaluation:
    """Judge a run's `last` or `best` network on the `test`, `train` or `all` labelled clips of a cache.

    Raises UserError for a run or cache that cannot be used.
    """
    if not run.is_dir():
        raise UserError(f"no such run: {run} (make it with `train run CACHE --out {run}`)")
    kept = checkpoint.load(run / f"{which}.pt")
    cache = Cache(cache_folder)
    table = _chosen_clips(cache, run, kept.config, clips)
    good = usable(table)
    device = choose_device(device_name)
    network = checkpoint.restore(kept).to(device)
    dataset = evaluate.clip_dataset(cache, good, kept.labels)
    loader = Loader(dataset, kept.config.recipe.batch_size, loader_workers, device)
    if good.is_empty():
        raise UserError(f"{cache_folder}: none of the {len(table)} chosen clips is usable")
    probabilities = evaluate.predict(network, loader, len(good), kept.config.data, device)
    predictions = evaluate.prediction_table(table, probabilities, kept.labels, kept.majority)
    figures = evaluate.judge(predictions, kept.labels)
    return evaluate.Evaluation(
        labels=kept.labels, epoch=kept.epoch, clips=clips, predictions=predictions, figures=figures
    )


def check_target(path: Path) -> Path:
    """Where a file is to be written, with links followed. Raises UserError where that is no place for one."""
    target = path.resolve()
    if target.exists() and not target.is_file():
        raise UserError(f"cannot write {path}: it is there and is not a file")
    return target


def write_predictions(path: Path, predictions: pl.DataFrame) -> None:
    """Write a prediction table as CSV. Raises UserError where that is impossible."""
    path = check_target(path)
    try:
        with atomic_file(path) as file:
            predictions.write_csv(file)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None


def _chosen_clips(cache: Cache, run: Path, config: TrainConfig, clips: str) -> pl.DataFrame:
    if clips == "all":
        return cache.clips.filter(pl.col("label").is_not_null())
    origin = _read_origin(run)
    split = choose_split(cache.clips, origin["fold"], origin["holdout"], config.recipe.seed)
    return split.train if clips == "train" else split.test


def _read_origin(run: Path) -> dict:
    path = run / loop.RUN
    try:
        content = json.loads(path.read_bytes())
        if not isinstance(content["holdout"], int | float) or not isinstance(content["fold"], int | None):
            raise ValueError
        return {name: content[name] for name in ("cache_dataset", "cache_settings_hash", "fold", "holdout")}
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{path} is missing or damaged: {run} is not a run") from None


def _refuse_unless_finished(out: Path, config: TrainConfig, origin: dict) -> None:
    settings = out / loop.SETTINGS
    same = settings.exists() and settings.read_bytes() == config.to_toml().encode()
    if not same or _read_origin(out) != origin or not (out / loop.LAST).exists():
        raise UserError(f"{out} exists and is not this run, finished; give another --out or remove it")
    last = checkpoint.load(out / loop.LAST).epoch + 1
    if last < config.recipe.epochs or not all((out / name).exists() for name in loop.RESULTS):
        raise UserError(f"{out} holds this run, unfinished; remove it to train it again")
