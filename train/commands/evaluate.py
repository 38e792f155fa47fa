"""What `train evaluate` does: a run's network on the clips of a cache."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from dfer.schemas.manifest import fold_numbers
from dfer.schemas.support.commands import printable
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.text import counted
from dfer.train.data.caches import Pool, open_pool, usable
from dfer.train.data.class_matching import match_classes
from dfer.train.data.dataset import clip_dataset, in_batches, view_spec
from dfer.train.data.leaks import overlap
from dfer.train.data.loader import Loader
from dfer.train.data.splits import Split, SplitChoice, choose_split
from dfer.train.engine import checkpoint
from dfer.train.engine.device import choose_device
from dfer.train.engine.experiment import RunOptions, read_origin
from dfer.train.engine.forward import batch_size, predict
from dfer.train.results.comparison import obstacle
from dfer.train.results.figures import Evaluation, evaluate_predictions
from dfer.train.results.plots import confusion_png
from dfer.train.results.predictions import prediction_table
from dfer.train.results.run_folder import refuse_what_is_no_run


def evaluate_run(
    run: Path, folders: Sequence[Path], which: str, clips: str, run_options: RunOptions
) -> Evaluation:
    """Judge a run's `last` or `best` network on the `test`, `train` or `all` labelled clips of one cache or several.

    Labels are matched with the network's by what they mean (`match_classes`).
    Raises UserError for a run or cache that cannot be used.
    """
    if not run.is_dir():
        raise UserError(f"no such run: {run} (make it with `train run CACHE --out {run}`)")
    refuse_what_is_no_run(run)
    kept = checkpoint.load(run / f"{which}.pt")
    pool = open_pool(*folders)
    split = chosen_split(pool, run, kept.config.recipe.seed, clips)
    matched = match_classes(split.test, kept.labels)
    table = matched.clips
    good = usable(table)
    device = choose_device(run_options.device)
    network = checkpoint.restore(kept).to(device)
    # Labels are for judging; to predict none is needed, and some of these the network does not have.
    unlabelled = good.with_columns(label=pl.lit(None, pl.String))
    dataset = clip_dataset(pool, unlabelled, kept.labels, view_spec(kept.config))
    loader = Loader(dataset, run_options.loader_workers or 0, device)
    plan = in_batches(range(len(good)), batch_size(kept.config))
    probabilities = predict(network, loader, plan, kept.config, device)
    predictions = prediction_table(table, probabilities, kept.labels, kept.majority)
    incomparable = obstacle(
        pool.dataset,
        trained_on=str(kept.origin.get("dataset")),
        protocol=split.protocol,
        clips=len(table),
        not_covered=sum(matched.not_covered.values()),
    )
    return evaluate_predictions(
        kept.labels,
        kept.epoch,
        pool.dataset,
        clips,
        predictions,
        renamed=matched.renamed,
        not_covered=matched.not_covered,
        incomparable=incomparable,
        judged_on=split.description,
        origin={
            "network": {**kept.origin, "checkpoint": which, "settings": kept.config.to_dict()},
            "dataset": pool.dataset,
            "cache_settings_hash": pool.settings_hash,
            "judged_on": split.description,
        },
        trained_on=tuple(overlap(table, kept.trained_on)),
        notes=pool.notes,
    )


def confusion_picture(result: Evaluation) -> bytes:
    """The confusion matrix of all clips, as PNG."""
    figures = result.figures
    title = f"{figures.words}\n{counted(figures.clips, 'clip')} of {printable(result.dataset)}"
    return confusion_png(figures.confusion, result.labels, title)


def chosen_split(pool: Pool, run: Path, seed: int, clips: str) -> Split:
    """What is judged of a pool, as the test part of a split: the `test` or `train` part that the run's choice gives,
    or `all` clips with a label. Raises UserError.
    """
    if clips == "all":
        labelled = pool.clips.filter(pl.col("label").is_not_null())
        return Split(train=labelled.clear(), test=labelled, description="all clips")
    origin = read_origin(run)
    choice = SplitChoice.from_dict(origin["split"])
    if choice.fold is not None and not fold_numbers(pool.clips) and pool.clips["split"].is_not_null().any():
        choice = SplitChoice()  # another dataset, which is split in its own way
    try:
        split = choose_split(pool.clips, choice, seed)
    except UserError:  # whose advice is for training
        raise UserError(
            f"{pool.where} cannot be split as the run was ({origin['tested_on']}); `train evaluate --clips all` "
            "judges every clip"
        ) from None
    if clips == "test":
        return split
    return Split(train=split.test, test=split.train, description="the training clips")
