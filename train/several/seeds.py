"""`train crossval --seeds`: a cross-validation for each seed, and their mean; folders of runs with several seeds.

The output folder gets a cross-validation per seed (seed_0, …) and crossval.csv, the tables of all of them.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from dfer.schemas.support.files import write_atomic
from dfer.train.commands.progress import Notices
from dfer.train.config import TrainConfig
from dfer.train.data.caches import open_pool
from dfer.train.data.splits import SplitChoice
from dfer.train.engine import distributed
from dfer.train.engine.device import choose_device
from dfer.train.engine.experiment import RunOptions
from dfer.train.engine.weights import Start
from dfer.train.results import run_folder
from dfer.train.results.baseline import baseline_json
from dfer.train.results.bootstrap import Estimate, as_json, estimate
from dfer.train.results.comparison import published_json
from dfer.train.results.run_folder import CROSSVAL, require_own
from dfer.train.several import crossval
from dfer.train.several.cluster import train_on_cluster
from dfer.train.several.crossval import CrossValidation, cross_validate, jobs_of


@dataclass(frozen=True, kw_only=True)
class SeededCrossValidation:
    """Cross-validations of the same settings with several seeds.

    estimate: WAR and UAR of all clips pooled after the last epoch, averaged over the seeds
    """

    seeds: tuple[int, ...]
    results: tuple[CrossValidation, ...]
    estimate: Estimate

    def mean(self, which: str, figure: str) -> float:
        """Mean of a figure over folds and seeds. which: `last` or `best`."""
        return float(np.mean([result.mean_and_sd(which, figure)[0] for result in self.results]))

    def pooled(self, which: str, figure: str) -> float:
        """Mean over the seeds of a figure of all clips pooled. which: `last` or `best`."""
        return float(np.mean([getattr(getattr(each, f"pooled_{which}"), figure) for each in self.results]))


def with_seeds(
    out: Path, config: TrainConfig, seeds: Sequence[int]
) -> list[tuple[int | None, Path, TrainConfig]]:
    """The seed, the folder and the settings of each seed's run or cross-validation.

    seeds: if empty, the settings' own seed is used and the folder is `out`; the seed is then None
    """
    if not seeds:
        return [(None, out, config)]
    recipes = [dataclasses.replace(config.recipe, seed=seed) for seed in seeds]
    return [
        (recipe.seed, out / f"seed_{recipe.seed}", dataclasses.replace(config, recipe=recipe))
        for recipe in recipes
    ]


def cross_validate_seeds(
    folders: Sequence[Path],
    out: Path,
    config: TrainConfig,
    folds: str,
    seeds: tuple[int, ...],
    run_options: RunOptions,
    start: Start,
    notify: Callable[[str], None],
) -> SeededCrossValidation | None:
    """Cross-validate with each seed, each in a folder below `out`, and write the table of all.

    Arguments and errors as those of `cross_validate`; returns None in all but the first of several processes.
    """
    with distributed.join(choose_device(run_options.here)) as world:
        with distributed.agreed(world):
            require_own(out, CROSSVAL)
            pool = open_pool(*folders)
            jobs = [
                job
                for _, folder, settings in with_seeds(out, config, seeds)
                for job in jobs_of(folders, folder, settings, pool, folds, SplitChoice(), start)
            ]
        run_options = train_on_cluster(jobs, run_options, world, notify)
        notices, results = Notices(of_folds=True), []
        for seed, folder, settings in with_seeds(out, config, seeds):
            if world.first:
                notify(f"seed {seed}")
            results.append(
                cross_validate(folders, folder, settings, folds, run_options, start, notify, notices)
            )
        if not world.first:
            return None
        pooled = estimate([result.predictions for result in results], results[0].labels)
        found = SeededCrossValidation(seeds=seeds, results=tuple(results), estimate=pooled)
        with run_folder.writing(out):
            write_atomic(out / CROSSVAL, as_table(found).write_csv().encode())
        return found


def as_table(found: SeededCrossValidation) -> pl.DataFrame:
    """The table of each seed's cross-validation, with its seed, then the means over seeds; shares in 0–1."""
    tables = [
        crossval.as_table(result).select(pl.lit(str(seed)).alias("seed"), pl.all())
        for seed, result in zip(found.seeds, found.results, strict=True)
    ]
    every = pl.concat(tables, how="vertical_relaxed")
    shares = [name for name in every.columns if name.startswith(("last_", "best_"))]
    means = [
        every.filter(fold=row).select(
            pl.lit("mean").alias("seed"), pl.lit(row).alias("fold"), pl.col(shares).mean()
        )
        for row in ("mean", "pooled")
    ]
    return pl.concat([every, *means], how="diagonal_relaxed")


def as_dict(found: SeededCrossValidation) -> dict[str, Any]:
    """The table, the pooled figures, the first seed's baseline, and the dataset's published results, for JSON."""
    result = found.results[0]
    return {
        "dataset": result.dataset,
        "rows": as_table(found).fill_nan(None).to_dicts(),
        "pooled": as_json(found.estimate),
        "baseline": baseline_json(result.pooled_baseline),
        **published_json(result.dataset, result.not_comparable),
    }
