"""`train sweep`: train variants of one set of settings; compare them with the first one and the published ablation.

The output folder gets a run (or a cross-validation) per variant, or one per variant and seed in VARIANT/seed_0 …,
sweep.csv and sweep.png. Started again, it resumes.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from dfer.data_manifest.published_results import Figure, ablation
from dfer.schemas.support.files import write_atomic
from dfer.train.data.caches import open_pool
from dfer.train.engine import distributed
from dfer.train.engine.device import choose_device
from dfer.train.engine.weights import FROM_SCRATCH, Start
from dfer.train.results import baseline, plots, run_folder
from dfer.train.results.comparison import ablation_not_comparable_reason
from dfer.train.results.run_folder import SWEEP, SWEEP_PLOT, require_own
from dfer.train.several.candidates import (
    Candidate,
    Comparison,
    Plan,
    baseline_cells,
    cells,
    train_candidates,
)
from dfer.train.several.sweep_file import Sweep, config_of


@dataclass(frozen=True, kw_only=True)
class SweepResult:
    """The variants that were trained, and their results.

    sweep: without the variants that were left out
    published: the published results of each variant by dataset
    not_comparable: why ours cannot be compared with these, None if they can
    """

    sweep: Sweep
    comparison: Comparison
    published: tuple[Mapping[str, Figure], ...]
    not_comparable: str | None

    @property
    def datasets(self) -> list[str]:
        """The datasets of the published results."""
        return sorted({name for figures in self.published for name in figures})


def run_sweep(
    sweep: Sweep,
    plan: Plan,
    out: Path,
    overrides: Mapping[str, Any],
    start: Start = FROM_SCRATCH,
    notify: Callable[[str], None] = lambda text: None,
) -> SweepResult | None:
    """Train every unfinished variant in a folder below `out`, and write sweep.csv and sweep.png.

    overrides: settings of all variants; a variant's own take precedence
    start: weights that every run starts from, except those of variants from scratch
    notify: called in the first process before each variant, seed and fold, with a line to print

    Returns None in all but the first of several processes.
    Raises UserError for settings, a cache or a folder that cannot be used; checks them before training.
    """
    with distributed.join(choose_device(plan.run_options.here)) as world:
        with distributed.agreed(world):
            candidates = [
                Candidate(
                    name=variant.name,
                    config=config_of(variant, overrides),
                    start=FROM_SCRATCH if variant.from_scratch else start,
                )
                for variant in sweep.variants
            ]
            repeated = [] if start != FROM_SCRATCH else _repeated(sweep, candidates)
            sweep = dataclasses.replace(
                sweep, variants=tuple(each for each in sweep.variants if each.name not in repeated)
            )
            candidates = [each for each in candidates if each.name not in repeated]
            require_own(out, SWEEP)
            pool = open_pool(*plan.folders)
        if world.first:
            for name in repeated:
                notify(f"variant {name} is left out: without --init-from all variants start from scratch")
        found = train_candidates(candidates, plan, out, pool, world, "variant", notify)
        return found and _summarise(sweep, found, out)


def _repeated(sweep: Sweep, candidates: list[Candidate]) -> list[str]:
    """Names of variants that differ from an earlier one only in starting from scratch."""
    earlier, repeated = [], []
    for variant, candidate in zip(sweep.variants, candidates, strict=True):
        if variant.from_scratch and candidate.config in earlier:
            repeated.append(variant.name)
        earlier.append(candidate.config)
    return repeated


def _summarise(sweep: Sweep, found: Comparison, out: Path) -> SweepResult:
    """Put the published results next to ours; write table and plot."""
    published = tuple(
        ablation(sweep.published, variant.name) if sweep.published else {} for variant in sweep.variants
    )
    result = SweepResult(sweep=sweep, comparison=found, published=published, not_comparable=None)
    reason = ablation_not_comparable_reason(found.dataset, found.protocol, found.clips, result.datasets)
    result = dataclasses.replace(result, not_comparable=reason)
    with run_folder.writing(out):
        write_atomic(out / SWEEP, as_table(result).write_csv().encode())
        write_atomic(out / SWEEP_PLOT, _plot(result))
    return result


def _plot(result: SweepResult) -> bytes:
    rows, line = result.comparison.rows, result.comparison.baseline
    published = {
        name: [of_row[name].war if name in of_row else math.nan for of_row in result.published]
        for name in result.datasets
    }
    return plots.sweep_png(
        [row.name for row in rows],
        [row.war for row in rows],
        [row.best_war for row in rows],
        [row.estimate.intervals.war for row in rows],
        published,
        title=result.sweep.title,
        axis=result.sweep.axis,
        comparable=result.not_comparable is None,
        baseline=line and line.war,
        tested_on=result.comparison.tested_on,
    )


def as_table(result: SweepResult) -> pl.DataFrame:
    """One row per variant, with the published WAR and the remarks on it by dataset; shares in 0–1.

    The first row is that of the landmark baseline, if there is one. Intervals are 95 % ones. Differences are from the
    first variant, whose own are null.
    """
    found, rows = result.comparison, []
    if found.baseline:
        rows.append({"variant": baseline.ROW, **baseline_cells(found.baseline)})
    for variant, row, published in zip(result.sweep.variants, found.rows, result.published, strict=True):
        content = {"variant": variant.name, "what": variant.what, **cells(row, found.seeds)}
        for dataset in result.datasets:
            figure = published.get(dataset)
            content[f"published_war_{dataset}"] = figure.war if figure else None
            content[f"published_remark_{dataset}"] = figure.remark if figure else None
        rows.append(content)
    table = pl.DataFrame(rows, infer_schema_length=None)
    return table.insert_column(2, pl.lit(found.tested_on).alias("tested_on"))


def as_dict(result: SweepResult) -> dict[str, Any]:
    """The table, what was resampled for the intervals, and why the published results cannot be compared, for JSON."""
    return {
        "rows": as_table(result).fill_nan(None).to_dicts(),
        "drawn": result.comparison.rows[0].estimate.intervals.drawn,
        "incomparable": result.not_comparable,
    }
