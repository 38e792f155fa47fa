"""`train compare`: train networks alike on the same clips, and compare their accuracy and cost.

All are trained on the same crops, for the same epochs, with the same seeds, each with its own recipe or with a
common one; with --pretrain each is first trained on the same stills, in pretraining/NETWORK. The output folder gets a
run (or a cross-validation) per network, or one per network and seed in NETWORK/seed_0 …, compare.csv, compare.png,
compare.html and speed.json. Started again, it resumes.
"""

import dataclasses
import json
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import polars as pl
import torch

from dfer.schemas.support.files import write_atomic
from dfer.schemas.support.text import counted
from dfer.train.commands.benchmark import measure_models
from dfer.train.commands.measurement import INFERENCE, TRAINING, Measurement
from dfer.train.commands.progress import Notices
from dfer.train.commands.run import train_run
from dfer.train.commands.run_contents import require_trainable_in
from dfer.train.config import TrainConfig
from dfer.train.data.caches import open_pool
from dfer.train.data.splits import SplitChoice
from dfer.train.engine import distributed
from dfer.train.engine.device import choose_device
from dfer.train.engine.distributed import World
from dfer.train.engine.experiment import Experiment
from dfer.train.engine.weights import FROM_SCRATCH, Start
from dfer.train.models.interface import Source
from dfer.train.models.registry import network_class
from dfer.train.results import baseline, run_folder
from dfer.train.results.comparison import not_comparable_reason
from dfer.train.results.cost_plot import cost_png
from dfer.train.results.run_folder import COMPARISON, COMPARISON_PLOT, require_own
from dfer.train.several.candidates import (
    Candidate,
    Comparison,
    Plan,
    baseline_cells,
    candidate_jobs,
    cells,
    train_candidates,
)
from dfer.train.several.cluster import Job, train_on_cluster
from dfer.train.several.compared_networks import (
    OWN,
    PRETRAINING,
    Networks,
    configs_of,
    recipes_of,
    require_buildable,
    stills_config,
)

SPEED = "speed.json"
SPEED_SECONDS = 2.0  # that each speed is measured for, at least
SPEED_BATCH = 8


@dataclass(frozen=True, kw_only=True)
class Compared:
    """A network of a comparison.

    recipe: the preset that its recipe is from
    speeds: of a training step and of a prediction, of SPEED_BATCH clips
    """

    name: str
    config: TrainConfig
    recipe: str
    source: Source
    speeds: Mapping[str, Measurement]

    @property
    def remark(self) -> str:
        """Whether its publication leaves something open, for a table."""
        return f"as far as published: {self.source.gaps}" if self.source.gaps else ""


@dataclass(frozen=True, kw_only=True)
class CompareResult:
    """networks: in the order of the comparison's rows.

    not_comparable: why they cannot be compared with published results, None if they can
    """

    networks: tuple[Compared, ...]
    asked: Networks
    comparison: Comparison
    not_comparable: str | None


def run_compare(
    asked: Networks, plan: Plan, out: Path, notify: Callable[[str], None] = lambda text: None
) -> CompareResult | None:
    """Train every unfinished network in a folder below `out`, measure speeds, and write table and plot.

    notify: called in the first process before each network, seed and fold, with a line to print

    Returns None in all but the first of several processes.
    Raises UserError for settings, networks, a cache or a folder that cannot be used; checks them before training.
    """
    with distributed.join(choose_device(plan.run_options.here)) as world:
        with distributed.agreed(world):
            require_own(out, COMPARISON)
            pool = open_pool(*plan.folders)
            configs = configs_of(asked)
            pretrained = out / PRETRAINING
            candidates = [
                Candidate(
                    name=name,
                    config=config,
                    start=Start(init_from=pretrained / name) if asked.stills else FROM_SCRATCH,
                )
                for name, config in configs.items()
            ]
            candidate_jobs(candidates, plan, out, pool)  # first: it refuses a cache without labels
            for candidate in candidates:
                require_buildable(candidate.config, pool)
        if world.first and asked.recipe == OWN:
            for name, recipe in zip(configs, recipes_of(asked), strict=True):
                if recipe != name:
                    notify(f"{name} has no preset; its recipe is that of {recipe}")
        if asked.stills:
            _pretrain(candidates, asked, plan, pretrained, world, notify)
        found = train_candidates(candidates, plan, out, pool, world, "network", notify)
        if not found:
            return None
        speeds = _speeds(candidates, out, plan.run_options.here, len(pool.labels), notify)
        networks = tuple(
            Compared(
                name=each.name,
                config=each.config,
                recipe=recipe,
                source=network_class(each.config.model).source_of(each.config.network),
                speeds=speeds[each.name],
            )
            for each, recipe in zip(candidates, recipes_of(asked), strict=True)
        )
        return _summarise(asked, networks, found, out)


def _pretrain(
    candidates: Sequence[Candidate],
    asked: Networks,
    plan: Plan,
    out: Path,
    world: World,
    notify: Callable[[str], None],
) -> None:
    """Train every network on the stills first, each in a folder below `out`."""
    with distributed.agreed(world):
        stills = open_pool(asked.stills)
        jobs = []
        for candidate in candidates:
            experiment = Experiment(
                config=stills_config(candidate.config, asked, stills), split=SplitChoice()
            )
            require_trainable_in(out / candidate.name, experiment, stills)
            jobs.append(Job(folders=(asked.stills,), out=out / candidate.name, experiment=experiment))
    options, notices = train_on_cluster(jobs, plan.run_options, world, notify), Notices()
    for job in jobs:
        if world.first:
            notify(f"{job.out.name} on {asked.stills}")
        train_run(job.folders, job.out, job.experiment, options, resume=True, notices=notices)


def _speeds(
    candidates: Sequence[Candidate], out: Path, device: str, classes: int, notify: Callable[[str], None]
) -> dict[str, dict[str, Measurement]]:
    """The speeds of each network by task, kept in speed.json until network, device or machine are others."""
    path = out / SPEED
    kept = _kept(path)
    found = {}
    for candidate in candidates:
        of_network = {**candidate.config.to_dict(), "recipe": None}
        known = kept.get(candidate.name, {})
        made_on = {
            "network": sha256(json.dumps(of_network).encode()).hexdigest(),
            "machine": f"{platform.node()}, {device}, {counted(torch.get_num_threads(), 'thread')}",
        }
        if known.get("made_on") == made_on:
            found[candidate.name] = {name: Measurement(**row) for name, row in known["rows"].items()}
            continue
        notify(f"measuring the speed of {candidate.name}")
        config = {candidate.name: candidate.config.settled(scores=False)}
        rows = {
            row.task: row for row in measure_models(config, classes, (SPEED_BATCH,), device, SPEED_SECONDS)
        }
        found[candidate.name] = rows
        if not any(row.failure for row in rows.values()):
            kept[candidate.name] = {
                "made_on": made_on,
                "rows": {name: dataclasses.asdict(row) for name, row in rows.items()},
            }
            with run_folder.writing(out):
                write_atomic(path, json.dumps(kept, indent=2).encode())
    return found


def _kept(path: Path) -> dict[str, Any]:
    """What is kept of speeds; nothing if the file is missing or damaged, so that they are measured again."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    complete = isinstance(content, dict) and all(isinstance(each, dict) for each in content.values())
    return content if complete else {}


def _summarise(
    asked: Networks, networks: tuple[Compared, ...], found: Comparison, out: Path
) -> CompareResult:
    reason = not_comparable_reason(
        found.dataset, trained_on=found.dataset, protocol=found.protocol, clips=found.clips
    )
    result = CompareResult(networks=networks, asked=asked, comparison=found, not_comparable=reason)
    with run_folder.writing(out):
        write_atomic(out / COMPARISON, as_table(result).write_csv().encode())
        write_atomic(out / COMPARISON_PLOT, plot(result))
    return result


def plot(result: CompareResult) -> bytes:
    """WAR against multiply-adds, as PNG."""
    rows, line = result.comparison.rows, result.comparison.baseline
    return cost_png(
        [row.name for row in rows],
        [row.cost.multiply_adds for row in rows],
        [row.estimate.war for row in rows],
        [row.estimate.intervals.war for row in rows],
        baseline=line and line.estimate.war,
        tested_on=result.comparison.tested_on,
    )


def as_table(result: CompareResult) -> pl.DataFrame:
    """One row per network; shares in 0–1, speeds in clips per second, memory in bytes.

    The first row is that of the landmark baseline, if there is one. Intervals are 95 % ones. Differences are from the
    first network, whose own are null.
    """
    found, rows = result.comparison, []
    if found.baseline:
        rows.append({"network": baseline.ROW, **baseline_cells(found.baseline)})
    for network, row in zip(result.networks, found.rows, strict=True):
        training, inference = (network.speeds[task] for task in (TRAINING, INFERENCE))
        content = {"network": network.name, "what": network.source.citation, **cells(row, found.seeds)}
        rows.append(
            {
                **content,
                "training_clips_per_second": training.clips_per_second,
                "inference_clips_per_second": inference.clips_per_second,
                "training_memory": training.memory,
                "published_parameters": network.source.parameters and 1e6 * network.source.parameters,
                "remark": network.remark,
            }
        )
    table = pl.DataFrame(rows, infer_schema_length=None)
    return table.insert_column(2, pl.lit(found.tested_on).alias("tested_on"))


def as_dict(result: CompareResult) -> dict[str, Any]:
    """The table, what was resampled for the intervals, and why published results cannot be compared, for JSON."""
    return {
        "dataset": result.comparison.dataset,
        "rows": as_table(result).fill_nan(None).to_dicts(),
        "drawn": result.comparison.rows[0].estimate.intervals.drawn,
        "incomparable": result.not_comparable,
    }
