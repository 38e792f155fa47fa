"""What `train evaluate` does: a run's network on the clips of a cache."""

from pathlib import Path

import polars as pl

from schemas.errors import UserError
from schemas.files import atomic_file
from train import checkpoint, evaluate
from train.device import choose_device
from train.experiment import Means, read_origin
from train.loader import Loader
from train.shards import Cache, usable
from train.splits import SplitChoice, choose_split


def evaluate_run(run: Path, cache_folder: Path, which: str, clips: str, means: Means) -> evaluate.Evaluation:
    """Judge a run's `last` or `best` network on the `test`, `train` or `all` labelled clips of a cache.

    Raises UserError for a run or cache that cannot be used.
    """
    if not run.is_dir():
        raise UserError(f"no such run: {run} (make it with `train run CACHE --out {run}`)")
    kept = checkpoint.load(run / f"{which}.pt")
    cache = Cache(cache_folder)
    table = chosen_clips(cache, run, kept.config.recipe.seed, clips)
    good = usable(table)
    if good.is_empty():
        raise UserError(f"{cache_folder}: none of the {len(table)} chosen clips is usable")
    device = choose_device(means.device)
    network = checkpoint.restore(kept).to(device)
    dataset = evaluate.clip_dataset(cache, good, kept.labels, evaluate.sight_of(kept.config))
    loader = Loader(dataset, means.loader_workers or 0, device)
    probabilities = evaluate.predict(network, loader, range(len(good)), kept.config, device)
    predictions = evaluate.prediction_table(table, probabilities, kept.labels, kept.majority)
    return evaluate.evaluation(kept, cache.info.dataset, clips, predictions)


def check_target(path: Path) -> Path:
    """Where a file is to be written, with links followed. Raises UserError where that is no place for one."""
    target = path.resolve()
    if target.exists() and not target.is_file():
        raise UserError(f"cannot write {path}: it is there and is not a file")
    return target


def write_predictions(path: Path, predictions: pl.DataFrame) -> None:
    """Write a prediction table, as CSV where the name ends so, else as Parquet. Raises UserError."""
    path = check_target(path)
    try:
        with atomic_file(path) as file:
            if path.suffix.lower() == ".csv":
                predictions.write_csv(file)
            else:
                predictions.write_parquet(file)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None


def chosen_clips(cache: Cache, run: Path, seed: int, clips: str) -> pl.DataFrame:
    """A run's `test` or `train` part of a cache's clips table, or `all` with a label. Raises UserError."""
    if clips == "all":
        return cache.clips.filter(pl.col("label").is_not_null())
    split = choose_split(cache.clips, SplitChoice.from_dict(read_origin(run)["split"]), seed)
    return split.train if clips == "train" else split.test
