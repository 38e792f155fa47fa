"""Train candidates, such as the variants of a sweep or networks to compare, alike; compare them with the first one.

The output folder gets a run (or a cross-validation) per candidate, or one per candidate and seed in NAME/seed_0 ….
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dfer.train.commands.progress import Notices
from dfer.train.commands.run import train_run
from dfer.train.config import TrainConfig
from dfer.train.data.caches import Pool
from dfer.train.data.splits import SplitChoice
from dfer.train.engine import distributed
from dfer.train.engine.distributed import World
from dfer.train.engine.experiment import Experiment, RunOptions
from dfer.train.engine.weights import FROM_SCRATCH, Start
from dfer.train.results.baseline import DESCRIPTION
from dfer.train.results.bootstrap import Difference, Estimate, estimate, paired_difference
from dfer.train.results.run_folder import refuse_run_or_cache
from dfer.train.several.cluster import Job, train_on_cluster
from dfer.train.several.crossval import CrossValidation, cross_validate, jobs_of
from dfer.train.several.outcomes import Cost, Outcome, outcome
from dfer.train.several.seeds import with_seeds


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """Settings to compare. name: also of its folder; start: weights that its runs start from."""

    name: str
    config: TrainConfig
    start: Start = FROM_SCRATCH


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How every candidate is trained.

    folders: of the caches
    split: of each candidate, if `folds` is None
    folds: as in `folds.fold_choices`; None trains a single run per candidate and seed
    seeds: a run or cross-validation for each; if empty, one with the settings' own seed
    """

    folders: Sequence[Path]
    run_options: RunOptions
    split: SplitChoice
    folds: str | None
    seeds: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Row:
    """Results of a candidate.

    war, uar, best_war, best_uar: 0–1, means over folds and seeds
    estimate: WAR and UAR after the last epoch of all test clips pooled, averaged over seeds
    difference: of `estimate` from the first candidate's; None for the first
    cost: what it takes
    """

    name: str
    war: float
    uar: float
    best_war: float
    best_uar: float
    estimate: Estimate
    difference: Difference | None
    cost: Cost


@dataclass(frozen=True, kw_only=True)
class BaselineResult:
    """Results of the landmark baseline on the same clips; see Row."""

    war: float
    uar: float
    estimate: Estimate
    difference: Difference


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Results of all candidates.

    baseline: None if a run has none
    seeds: how many each candidate was trained with
    dataset, protocol, clips: what they were tested on, as in `comparison.not_comparable_reason`
    seen: whether these are their training clips
    """

    baseline: BaselineResult | None
    rows: tuple[Row, ...]
    seeds: int
    dataset: str
    protocol: str
    clips: int
    seen: bool

    @property
    def tested_on(self) -> str:
        return "training clips" if self.seen else "test clips"


def candidate_jobs(candidates: Sequence[Candidate], plan: Plan, out: Path, pool: Pool) -> list[Job]:
    """All runs, each of which can be trained. Raises UserError if one cannot, or its folder is something else."""
    jobs = []
    for candidate in candidates:
        if plan.seeds:
            refuse_run_or_cache(out / candidate.name)
        for _, folder, config in with_seeds(out / candidate.name, candidate.config, plan.seeds):
            jobs += jobs_of(plan.folders, folder, config, pool, plan.folds, plan.split, candidate.start)
    return jobs


def train_candidates(
    candidates: Sequence[Candidate],
    plan: Plan,
    out: Path,
    pool: Pool,
    world: World,
    kind: str,
    notify: Callable[[str], None],
) -> Comparison | None:
    """Train every unfinished candidate in a folder below `out`, and compare them with the first.

    pool: the plan's caches
    kind: what a candidate is called in messages
    notify: called in the first process before each candidate, seed and fold, with a line to print

    Returns None in all but the first of several processes. Raises UserError; see `candidate_jobs`.
    """
    with distributed.agreed(world):
        jobs = candidate_jobs(candidates, plan, out, pool)
    plan = dataclasses.replace(plan, run_options=train_on_cluster(jobs, plan.run_options, world, notify))
    outcomes, notices = [], Notices(of_folds=bool(plan.folds))
    for number, candidate in enumerate(candidates, 1):
        if world.first:
            notify(f"{kind} {candidate.name} ({number} of {len(candidates)})")
            if candidate.config.warning:
                notify(candidate.config.warning)
        done = _train(candidate, plan, out / candidate.name, world, notify, notices)
        if world.first:
            outcomes.append(outcome(done, candidate.config, pool))
    return _compare(candidates, outcomes) if world.first else None


def _train(
    candidate: Candidate,
    plan: Plan,
    out: Path,
    world: World,
    notify: Callable[[str], None],
    notices: Notices,
) -> list[tuple[Path, CrossValidation | None]]:
    """Train a candidate with each seed. Returns the folder of each, and the results of cross-validations."""
    start, done = candidate.start, []
    for seed, folder, settings in with_seeds(out, candidate.config, plan.seeds):
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


def _compare(candidates: Sequence[Candidate], outcomes: Sequence[Outcome]) -> Comparison:
    rows, first, labels = [], outcomes[0].predictions, outcomes[0].labels
    for candidate, found in zip(candidates, outcomes, strict=True):
        rows.append(
            Row(
                name=candidate.name,
                estimate=estimate(found.predictions, labels),
                difference=paired_difference(found.predictions, first, labels) if rows else None,
                cost=found.cost,
                **found.figures,
            )
        )
    last = outcomes[-1]
    return Comparison(
        baseline=_baseline(outcomes[0]),
        rows=tuple(rows),
        seeds=len(last.predictions),
        dataset=last.dataset,
        protocol=last.protocol,
        clips=last.clips,
        seen=last.seen,
    )


def _baseline(outcome: Outcome) -> BaselineResult | None:
    """The landmark baseline next to the candidate of this outcome."""
    found, labels = outcome.baseline, outcome.labels
    return found and BaselineResult(
        war=found.war,
        uar=found.uar,
        estimate=estimate(found.predictions, labels),
        difference=paired_difference(found.predictions, outcome.predictions, labels),
    )


def baseline_cells(found: BaselineResult) -> dict[str, Any]:
    """The landmark baseline's cells of a table; see `cells`."""
    return {
        "what": DESCRIPTION,
        "last_war": found.war,
        "last_uar": found.uar,
        **_with_intervals(found.estimate, "pooled_{}"),
        **_with_intervals(found.difference, "{}_difference"),
    }


def cells(row: Row, seeds: int) -> dict[str, Any]:
    """A candidate's cells of a table; shares in 0–1, intervals of 95 %, differences from the first candidate."""
    return {
        "last_war": row.war,
        "last_uar": row.uar,
        "best_war": row.best_war,
        "best_uar": row.best_uar,
        "seeds": seeds,
        **_with_intervals(row.estimate, "pooled_{}"),
        **_with_intervals(row.difference, "{}_difference"),
        **dataclasses.asdict(row.cost),
    }


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
