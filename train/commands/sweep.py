"""Variants of one set of settings, each a run (or a cross-validation), side by side with the published figures.

A sweep's folder: a folder for each variant, sweep.csv and sweep.png. Started again, it goes on.
"""

import math
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from dfer.data_manifest.published import ablation
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.files import write_atomic
from dfer.train.commands import run
from dfer.train.commands.crossval import CrossValidation, cross_validate
from dfer.train.config import TrainConfig, load_config
from dfer.train.data.caches import open_pool
from dfer.train.data.splits import SplitChoice
from dfer.train.engine import distributed
from dfer.train.engine.device import choose_device
from dfer.train.engine.experiment import Experiment, RunOptions, read_origin
from dfer.train.engine.weights import FROM_SCRATCH, Start
from dfer.train.results import plots, run_folder
from dfer.train.results.comparison import ablation_obstacle
from dfer.train.results.figures import compute_figures
from dfer.train.results.predictions import read_predictions
from dfer.train.results.run_folder import SWEEP, SWEEP_PLOT, refuse_what_is_one

SWEEPS = Path(__file__).parents[1] / "presets" / "sweeps"
# What a sweep's file says, and of which kind it is.
SWEEP_FIELDS = {"title": str, "base": str, "axis": str, "published": str, "variant": list}
VARIANT_FIELDS = {"name": str, "what": str, "set": dict}
OPTIONAL = dict.fromkeys(("title", "axis", "published", "what"), "")
KINDS = {str: "a text in quotes", list: "as tables [[variant]]", dict: "a table of settings"}


@dataclass(frozen=True, kw_only=True)
class Variant:
    """name: also its folder and its row in the published table; what: in words; settings: overrides of the base."""

    name: str
    what: str
    settings: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """base: a preset; published: the paper's table with the same rows ("9"); axis: the name of what is varied."""

    title: str
    base: str
    axis: str
    published: str
    variants: tuple[Variant, ...]


@dataclass(frozen=True, kw_only=True)
class Row:
    """A variant's figures (0–1), mean over folds where there are any; published: WAR by dataset, 0–1."""

    variant: Variant
    war: float
    uar: float
    best_war: float
    best_uar: float
    published: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Swept:
    """rows: one a variant; datasets: of the published figures; incomparable: why ours cannot stand beside them."""

    rows: tuple[Row, ...]
    datasets: tuple[str, ...]
    incomparable: str | None


def load_sweep(name: str) -> Sweep:
    """A sweep by name or by its TOML file. Raises UserError where there is none or it is not one."""
    path = Path(name) if name.endswith(".toml") else SWEEPS / f"{name}.toml"
    try:
        content = tomllib.loads(path.read_text())
    except FileNotFoundError:
        known = ", ".join(sorted(p.stem for p in SWEEPS.glob("*.toml")))
        raise UserError(f"no sweep {name}: give one of {known}, or a .toml file") from None
    except (ValueError, RecursionError) as error:  # what is no TOML, no UTF-8, or no number that Python reads
        raise UserError(f"{path} is no sweep: {error}") from None
    fields = _fields(content, SWEEP_FIELDS, f"{path} is no sweep: it")
    tables = [
        _fields(table, VARIANT_FIELDS, f"{path} is no sweep: its variant {place}")
        for place, table in enumerate(fields.pop("variant"), 1)
    ]
    variants = tuple(Variant(name=t["name"], what=t["what"], settings=t["set"]) for t in tables)
    names = [variant.name for variant in variants]
    if not names or len(set(names)) < len(names) or not all(map(_can_be_a_folder, names)):
        raise UserError(f"{path} is no sweep: its variants need different names that can be folders")
    return Sweep(**fields, variants=variants)


def _fields(table: Any, kinds: Mapping[str, type], where: str) -> dict[str, Any]:
    """These fields of a table of TOML. Raises UserError where one is missing or of another kind."""
    content = {**OPTIONAL, **table} if isinstance(table, dict) else {}
    for name, kind in kinds.items():
        if not isinstance(content.get(name), kind):
            raise UserError(f"{where} needs the field `{name}`, {KINDS[kind]}")
    return {name: content[name] for name in kinds}


def _can_be_a_folder(name: str) -> bool:
    return (
        name.isprintable()
        and "/" not in name
        and name not in ("", ".", "..", SWEEP, SWEEP_PLOT)
        and len(name.encode()) < 200
    )


def _config_of(variant: Variant, sweep: Sweep, overrides: Mapping[str, Any]) -> TrainConfig:
    """A variant's settings. overrides: of all variants. Raises UserError naming the variant."""
    try:
        return load_config(sweep.base, {**overrides, **variant.settings})
    except UserError as error:
        raise UserError(f"variant {variant.name}: {error}") from None


def run_sweep(
    folders: Sequence[Path],
    out: Path,
    sweep: Sweep,
    overrides: Mapping[str, Any],
    run_options: RunOptions,
    *,
    split: SplitChoice,
    folds: str | None,
    start: Start = FROM_SCRATCH,
    on_variant: Callable[[Variant, TrainConfig, int, int], None] = lambda variant, config, place, count: None,
    on_fold: Callable[[int, int], None] = lambda place, count: None,
) -> Swept | None:
    """Train what is not done of a sweep; a row for each variant, written as sweep.csv and sweep.png. None in all but
    the first of several processes.

    overrides: settings of all variants; a variant's own go before them. folds: as for `crossval`, or None for one
    run on `split`. on_variant: told before each variant its settings, its place from 0 and how many there are;
    on_fold: as for `cross_validate`; both in the first process.
    Raises UserError for settings, a cache or a folder that cannot be used; all settings are checked first.
    """
    with distributed.join(choose_device(run_options.device)) as world:
        with distributed.agreed(world):
            configs = [_config_of(variant, sweep, overrides) for variant in sweep.variants]
            refuse_what_is_one(out)
            open_pool(*folders)  # before anything is made
        done = []
        for place, (variant, config) in enumerate(zip(sweep.variants, configs, strict=True)):
            if world.first:
                on_variant(variant, config, place, len(configs))
            folder = out / variant.name
            if folds:
                result = cross_validate(folders, folder, config, folds, run_options, start, on_fold)
            else:
                experiment = Experiment(config=config, split=split, start=start)
                run.start(folders, folder, experiment, run_options, resume=True)
                result = folder
            done.append(result)
        return _compared(sweep, done, out) if world.first else None


def _compared(sweep: Sweep, done: Sequence[Path | CrossValidation], out: Path) -> Swept:
    """The variants' runs, or cross-validations, as a table and a plot."""
    outcomes = [_of_folds(each) if isinstance(each, CrossValidation) else _of_run(each) for each in done]
    rows = []
    for variant, outcome in zip(sweep.variants, outcomes, strict=True):
        found = ablation(sweep.published, variant.name) if sweep.published else {}
        published = {name: figure.war for name, figure in found.items()}
        rows.append(Row(variant=variant, published=published, **outcome.figures))
    datasets = tuple(sorted({name for row in rows for name in row.published}))
    last = outcomes[-1]
    incomparable = ablation_obstacle(last.dataset, last.protocol, last.clips, datasets)
    swept = Swept(rows=tuple(rows), datasets=datasets, incomparable=incomparable)
    with run_folder.writing(out):
        write_atomic(out / SWEEP, as_table(swept).write_csv().encode())
        write_atomic(out / SWEEP_PLOT, _plot(swept, sweep))
    return swept


@dataclass(frozen=True, kw_only=True)
class _Outcome:
    """What a variant was judged on, and its figures by the names that a Row has for them."""

    dataset: str
    protocol: str
    clips: int
    figures: Mapping[str, float]


def _of_folds(result: CrossValidation) -> _Outcome:
    return _Outcome(
        dataset=result.dataset,
        protocol=result.protocol,
        clips=result.pooled_last.clips,
        figures={
            name: result.mean(which, figure)[0]
            for name, which, figure in (
                ("war", "last", "war"),
                ("uar", "last", "uar"),
                ("best_war", "best", "war"),
                ("best_uar", "best", "uar"),
            )
        },
    )


def _of_run(run: Path) -> _Outcome:
    origin = read_origin(run)
    labels = origin["labels"]
    last, best = (
        compute_figures(read_predictions(run / name, labels), labels)
        for name in (run_folder.PREDICTIONS, run_folder.BEST_PREDICTIONS)
    )
    return _Outcome(
        dataset=origin["dataset"],
        protocol=origin["protocol"],
        clips=origin["test_clips"],
        figures={"war": last.war, "uar": last.uar, "best_war": best.war, "best_uar": best.uar},
    )


def _plot(swept: Swept, sweep: Sweep) -> bytes:
    rows = swept.rows
    return plots.sweep_png(
        [row.variant.name for row in rows],
        [row.war for row in rows],
        [row.best_war for row in rows],
        {name: [row.published.get(name, math.nan) for row in rows] for name in swept.datasets},
        title=sweep.title,
        axis=sweep.axis,
        comparable=swept.incomparable is None,
    )


def as_table(swept: Swept) -> pl.DataFrame:
    """A row for each variant; figures in 0–1, the published ones null where there are none."""
    content = [
        {
            "variant": row.variant.name,
            "what": row.variant.what,
            "last_war": row.war,
            "last_uar": row.uar,
            "best_war": row.best_war,
            "best_uar": row.best_uar,
            **{f"published_war_{dataset}": row.published.get(dataset) for dataset in swept.datasets},
        }
        for row in swept.rows
    ]
    return pl.DataFrame(content, infer_schema_length=None)


def as_dict(swept: Swept) -> dict[str, Any]:
    """The same for a program to read, and why the published figures cannot be compared."""
    return {"rows": as_table(swept).fill_nan(None).to_dicts(), "incomparable": swept.incomparable}
