"""`train sweep`: train variants of one set of settings; compare them with the first one and the published ablation.

The output folder gets a run (or a cross-validation) per variant, or one per variant and seed in VARIANT/seed_0 …,
sweep.csv and sweep.png. Started again, it resumes.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from dfer.data_manifest.published_results import Figure, ablation
from dfer.schemas.support.files import write_atomic
from dfer.train.commands.crossval import CrossValidation, check_splits, cross_validate
from dfer.train.commands.progress import Notices
from dfer.train.commands.run import train_run
from dfer.train.commands.seeds import with_seeds
from dfer.train.commands.sweep_file import BASELINE_ROW, Sweep, Variant, config_of
from dfer.train.commands.sweep_outcomes import Cost, Outcome, outcome
from dfer.train.config import TrainConfig
from dfer.train.data.caches import open_pool
from dfer.train.data.splits import SplitChoice
from dfer.train.engine import distributed
from dfer.train.engine.device import choose_device
from dfer.train.engine.distributed import World
from dfer.train.engine.experiment import Experiment, RunOptions
from dfer.train.engine.weights import FROM_SCRATCH, Start
from dfer.train.results import plots, run_folder
from dfer.train.results.baseline import DESCRIPTION
from dfer.train.results.bootstrap import Difference, Estimate, estimate, paired_difference
from dfer.train.results.comparison import ablation_not_comparable_reason
from dfer.train.results.run_folder import SWEEP, SWEEP_PLOT, refuse_run_or_cache


@dataclass(frozen=True, kw_only=True)
class VariantResult:
    """Results of a variant.

    war, uar, best_war, best_uar: 0–1, means over folds and seeds
    published: the published results by dataset
    estimate: WAR and UAR after the last epoch of all test clips pooled, averaged over seeds
    difference: of `estimate` from the first variant's; None for the first
    cost: what it takes
    """

    variant: Variant
    war: float
    uar: float
    best_war: float
    best_uar: float
    published: Mapping[str, Figure]
    estimate: Estimate
    difference: Difference | None
    cost: Cost


@dataclass(frozen=True, kw_only=True)
class BaselineResult:
    """Results of the landmark baseline on the same clips; see VariantResult."""

    war: float
    uar: float
    estimate: Estimate
    difference: Difference


@dataclass(frozen=True, kw_only=True)
class SweepResult:
    """seeds: how many each variant was trained with; datasets: of the published results.

    baseline: None if a run has none
    not_comparable: why ours cannot be compared with the published ones, None if they can
    """

    baseline: BaselineResult | None
    rows: tuple[VariantResult, ...]
    seeds: int
    datasets: tuple[str, ...]
    not_comparable: str | None


@dataclass(frozen=True, kw_only=True)
class SweepPlan:
    """How every variant is trained.

    folders: of the caches
    overrides: settings of all variants; a variant's own take precedence
    split: of each variant, if `folds` is None
    folds: as in `crossval.fold_choices`; None trains a single run per variant and seed
    seeds: a run or cross-validation for each; if empty, one with the settings' own seed
    start: weights that every run starts from, except those of variants from scratch
    """

    folders: Sequence[Path]
    overrides: Mapping[str, Any]
    run_options: RunOptions
    split: SplitChoice
    folds: str | None
    seeds: tuple[int, ...] = ()
    start: Start = FROM_SCRATCH


def run_sweep(
    sweep: Sweep, plan: SweepPlan, out: Path, notify: Callable[[str], None] = lambda text: None
) -> SweepResult | None:
    """Train every unfinished variant in a folder below `out`, and write sweep.csv and sweep.png.

    notify: called in the first process before each variant, seed and fold, with a line to print

    Returns None in all but the first of several processes.
    Raises UserError for settings, a cache or a folder that cannot be used; checks them before training.
    """
    with distributed.join(choose_device(plan.run_options.device)) as world:
        with distributed.agreed(world):
            configs = {variant.name: config_of(variant, plan.overrides) for variant in sweep.variants}
            repeated = [] if plan.start != FROM_SCRATCH else _repeated(sweep, configs)
            kept = tuple(variant for variant in sweep.variants if variant.name not in repeated)
            sweep = dataclasses.replace(sweep, variants=kept)
            refuse_run_or_cache(out)
            pool = open_pool(*plan.folders)  # fail before anything is written
            for config in configs.values():
                check_splits(pool, config, plan.folds, plan.split)
        if world.first:
            for name in repeated:
                notify(f"variant {name} is left out: without --init-from all variants start from scratch")
        outcomes, notices = [], Notices(of_folds=bool(plan.folds))
        for number, variant in enumerate(sweep.variants, 1):
            config = configs[variant.name]
            if world.first:
                notify(f"variant {variant.name} ({number} of {len(sweep.variants)})")
                if config.warning:
                    notify(config.warning)
            done = _train_variant(variant, config, plan, out / variant.name, world, notify, notices)
            if world.first:
                outcomes.append(outcome(done, config, pool))
        return _summarise(sweep, outcomes, out) if world.first else None


def _repeated(sweep: Sweep, configs: Mapping[str, TrainConfig]) -> list[str]:
    """Names of variants that differ from an earlier one only in starting from scratch."""
    earlier, repeated = [], []
    for variant in sweep.variants:
        config = configs[variant.name]
        if variant.from_scratch and config in earlier:
            repeated.append(variant.name)
        earlier.append(config)
    return repeated


def _train_variant(
    variant: Variant,
    config: TrainConfig,
    plan: SweepPlan,
    out: Path,
    world: World,
    notify: Callable[[str], None],
    notices: Notices,
) -> list[tuple[Path, CrossValidation | None]]:
    """Train a variant with each seed. Returns the folder of each, and the results of cross-validations."""
    with distributed.agreed(world):
        if plan.seeds:
            refuse_run_or_cache(out)
    start, done = FROM_SCRATCH if variant.from_scratch else plan.start, []
    for seed, folder, settings in with_seeds(out, config, plan.seeds):
        if world.first and seed is not None:
            notify(f"seed {seed}")
        result = None
        if plan.folds:
            result = cross_validate(
                plan.folders, folder, settings, plan.folds, plan.run_options, start, notify, notices
            )
        else:
            experiment = Experiment(config=settings, split=plan.split, start=start)
            train_run(plan.folders, folder, experiment, plan.run_options, resume=True, notices=notices)
        done.append((folder, result))
    return done


def _summarise(sweep: Sweep, outcomes: Sequence[Outcome], out: Path) -> SweepResult:
    """Compare the variants' results with the first one's and the published ones; write table and plot."""
    rows, first, labels = [], outcomes[0].predictions, outcomes[0].labels
    for variant, found in zip(sweep.variants, outcomes, strict=True):
        rows.append(
            VariantResult(
                variant=variant,
                published=ablation(sweep.published, variant.name) if sweep.published else {},
                estimate=estimate(found.predictions, labels),
                difference=paired_difference(found.predictions, first, labels) if rows else None,
                cost=found.cost,
                **found.figures,
            )
        )
    datasets = tuple(sorted({name for row in rows for name in row.published}))
    last = outcomes[-1]
    result = SweepResult(
        baseline=_baseline(outcomes[0]),
        rows=tuple(rows),
        seeds=len(last.predictions),
        datasets=datasets,
        not_comparable=ablation_not_comparable_reason(last.dataset, last.protocol, last.clips, datasets),
    )
    with run_folder.writing(out):
        write_atomic(out / SWEEP, as_table(result).write_csv().encode())
        write_atomic(out / SWEEP_PLOT, _plot(result, sweep))
    return result


def _baseline(outcome: Outcome) -> BaselineResult | None:
    """The landmark baseline next to the variant of this outcome."""
    found, labels = outcome.baseline, outcome.labels
    return found and BaselineResult(
        war=found.war,
        uar=found.uar,
        estimate=estimate(found.predictions, labels),
        difference=paired_difference(found.predictions, outcome.predictions, labels),
    )


def _plot(result: SweepResult, sweep: Sweep) -> bytes:
    rows = result.rows
    published = {
        name: [row.published[name].war if name in row.published else math.nan for row in rows]
        for name in result.datasets
    }
    return plots.sweep_png(
        [row.variant.name for row in rows],
        [row.war for row in rows],
        [row.best_war for row in rows],
        [row.estimate.intervals.war for row in rows],
        published,
        title=sweep.title,
        axis=sweep.axis,
        comparable=result.not_comparable is None,
        baseline=result.baseline and result.baseline.war,
    )


def as_table(result: SweepResult) -> pl.DataFrame:
    """One row per variant, with the published WAR and the remarks on it by dataset; shares in 0–1.

    The first row is that of the landmark baseline, if there is one. Intervals are 95 % ones. Differences are from the
    first variant, whose own are null.
    """
    rows = []
    if result.baseline:
        found = result.baseline
        rows.append(
            {
                "variant": BASELINE_ROW,
                "what": DESCRIPTION,
                "last_war": found.war,
                "last_uar": found.uar,
                **_with_intervals(found.estimate, "pooled_{}"),
                **_with_intervals(found.difference, "{}_difference"),
            }
        )
    for row in result.rows:
        content = {
            "variant": row.variant.name,
            "what": row.variant.what,
            "last_war": row.war,
            "last_uar": row.uar,
            "best_war": row.best_war,
            "best_uar": row.best_uar,
            "seeds": result.seeds,
            **_with_intervals(row.estimate, "pooled_{}"),
            **_with_intervals(row.difference, "{}_difference"),
            **dataclasses.asdict(row.cost),
        }
        for dataset in result.datasets:
            figure = row.published.get(dataset)
            content[f"published_war_{dataset}"] = figure.war if figure else None
            content[f"published_remark_{dataset}"] = figure.remark if figure else None
        rows.append(content)
    return pl.DataFrame(rows, infer_schema_length=None)


def _with_intervals(found: Estimate | Difference | None, pattern: str) -> dict[str, Any]:
    """Columns with WAR, UAR and the ends of their intervals. pattern: of their names."""
    columns: dict[str, Any] = {}
    for figure in ("war", "uar"):
        name = pattern.format(figure)
        low, high = getattr(found.intervals, figure) if found else (None, None)
        columns |= {name: found and getattr(found, figure), f"{name}_low": low, f"{name}_high": high}
        if pattern == "{}_difference":
            columns[f"{name}_excludes_zero"] = found and found.excludes_zero(figure)
    return columns


def as_dict(result: SweepResult) -> dict[str, Any]:
    """The table, what was resampled for the intervals, and why the published results cannot be compared, for JSON."""
    return {
        "rows": as_table(result).fill_nan(None).to_dicts(),
        "drawn": result.rows[0].estimate.intervals.drawn,
        "incomparable": result.not_comparable,
    }
