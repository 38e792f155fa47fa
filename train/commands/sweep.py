"""`train sweep`: train variants of one set of settings, and compare them with the published ablation.

The output folder gets a run (or a cross-validation) per variant, sweep.csv and sweep.png. Started again, it resumes.
"""

import math
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from dfer.data_manifest.published_results import Figure, ablation
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.files import write_atomic
from dfer.train.commands.crossval import CrossValidation, cross_validate
from dfer.train.commands.run import train_run
from dfer.train.config import TrainConfig, load_config
from dfer.train.data.caches import open_pool
from dfer.train.data.splits import SplitChoice
from dfer.train.engine import distributed
from dfer.train.engine.device import choose_device
from dfer.train.engine.experiment import Experiment, RunOptions, read_origin
from dfer.train.engine.weights import FROM_SCRATCH, Start
from dfer.train.results import plots, run_folder
from dfer.train.results.baseline import DESCRIPTION, baseline_figures
from dfer.train.results.comparison import ablation_not_comparable_reason
from dfer.train.results.figures import compute_figures
from dfer.train.results.predictions import read_predictions
from dfer.train.results.run_folder import SWEEP, SWEEP_PLOT, refuse_run_or_cache

SWEEPS = Path(__file__).parents[1] / "presets" / "sweeps"
# Fields of a sweep's file, and their types.
SWEEP_FIELDS = {"title": str, "base": str, "axis": str, "published": str, "variant": list}
VARIANT_FIELDS = {"name": str, "what": str, "set": dict}
OPTIONAL = dict.fromkeys(("title", "axis", "published", "what"), "")
BASELINE_ROW = "baseline"  # name of the landmark baseline's row
TYPE_NAMES = {str: "a string", list: "a list of tables [[variant]]", dict: "a table of settings"}


@dataclass(frozen=True, kw_only=True)
class Variant:
    """name: also of its folder and of its row in the published table; what: description; settings: overrides."""

    name: str
    what: str
    settings: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """base: a preset; axis: what the variants differ in; published: the paper's table with the same rows ("9")."""

    title: str
    base: str
    axis: str
    published: str
    variants: tuple[Variant, ...]


@dataclass(frozen=True, kw_only=True)
class VariantResult:
    """Results of a variant, 0–1, mean over folds if there are any; published: the published ones by dataset."""

    variant: Variant
    war: float
    uar: float
    best_war: float
    best_uar: float
    published: Mapping[str, Figure]


@dataclass(frozen=True, kw_only=True)
class SweepResult:
    """datasets: of the published results; not_comparable: why ours cannot be compared with them, None if they can.

    baseline: WAR and UAR of the landmark baseline, 0–1, mean over folds if there are any; None without one
    """

    rows: tuple[VariantResult, ...]
    baseline: tuple[float, float] | None
    datasets: tuple[str, ...]
    not_comparable: str | None


def load_sweep(name: str) -> Sweep:
    """Read a sweep by its name or its TOML file. Raises UserError if it is missing or invalid."""
    path = Path(name) if name.endswith(".toml") else SWEEPS / f"{name}.toml"
    try:
        content = tomllib.loads(path.read_text())
    except FileNotFoundError:
        known = ", ".join(sorted(p.stem for p in SWEEPS.glob("*.toml")))
        raise UserError(f"no sweep {name}; choose one of {known}, or a .toml file") from None
    except ValueError as error:  # not TOML, not UTF-8, or a number too large for Python
        raise UserError(f"{path} is not a valid sweep: {error}") from None
    fields = _fields(content, SWEEP_FIELDS, f"{path} is not a valid sweep:")
    tables = [
        _fields(table, VARIANT_FIELDS, f"{path} is not a valid sweep: variant {number}")
        for number, table in enumerate(fields.pop("variant"), 1)
    ]
    variants = tuple(Variant(name=t["name"], what=t["what"], settings=t["set"]) for t in tables)
    names = [variant.name for variant in variants]
    if not names or len(set(names)) < len(names) or not all(map(_is_folder_name, names)):
        rule = f"unique names that can be folder names, other than {BASELINE_ROW!r}"
        raise UserError(f"{path} is not a valid sweep: variants need {rule}")
    return Sweep(**fields, variants=variants)


def _fields(table: Any, kinds: Mapping[str, type], where: str) -> dict[str, Any]:
    """These fields of a TOML table. Raises UserError if one is missing or has another type."""
    content = {**OPTIONAL, **table} if isinstance(table, dict) else {}
    for name, kind in kinds.items():
        if not isinstance(content.get(name), kind):
            raise UserError(f"{where} needs a field `{name}`, {TYPE_NAMES[kind]}")
    return {name: content[name] for name in kinds}


def _is_folder_name(name: str) -> bool:
    return (
        name.isprintable()
        and "/" not in name
        and name not in ("", ".", "..", SWEEP, SWEEP_PLOT, BASELINE_ROW)
        and len(name.encode()) < 200
    )


def _config_of(variant: Variant, sweep: Sweep, overrides: Mapping[str, Any]) -> TrainConfig:
    """A variant's settings. Raises UserError naming the variant."""
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
    notify: Callable[[str], None] = lambda text: None,
) -> SweepResult | None:
    """Train every unfinished variant in a folder below `out`, and write sweep.csv and sweep.png.

    folders: of the caches
    overrides: settings of all variants; a variant's own take precedence
    split: of each variant, if `folds` is None
    folds: as in `crossval.fold_choices`; None trains a single run per variant
    start: weights that every run starts from
    notify: called in the first process before each variant and fold, with a line to print

    Returns None in all but the first of several processes.
    Raises UserError for settings, a cache or a folder that cannot be used; checks all settings before training.
    """
    with distributed.join(choose_device(run_options.device)) as world:
        with distributed.agreed(world):
            configs = [_config_of(variant, sweep, overrides) for variant in sweep.variants]
            refuse_run_or_cache(out)
            open_pool(*folders)  # fail before anything is written
        done: list[CrossValidation | Path] = []
        for number, (variant, config) in enumerate(zip(sweep.variants, configs, strict=True), 1):
            if world.first:
                notify(f"variant {variant.name} ({number} of {len(configs)})")
                if config.warning:
                    notify(config.warning)
            folder = out / variant.name
            if folds:
                done.append(cross_validate(folders, folder, config, folds, run_options, start, notify))
            else:
                experiment = Experiment(config=config, split=split, start=start)
                train_run(folders, folder, experiment, run_options, resume=True)
                done.append(folder)
        return _summarise(sweep, done, out) if world.first else None


@dataclass(frozen=True, kw_only=True)
class _Outcome:
    """What a variant was tested on, and its figures by their names in VariantResult."""

    dataset: str
    protocol: str
    clips: int
    figures: Mapping[str, float]


def _outcome_of_folds(result: CrossValidation) -> _Outcome:
    return _Outcome(
        dataset=result.dataset,
        protocol=result.protocol,
        clips=result.pooled_last.clips,
        figures={
            name: result.mean_and_sd(which, figure)[0]
            for name, which, figure in (
                ("war", "last", "war"),
                ("uar", "last", "uar"),
                ("best_war", "best", "war"),
                ("best_uar", "best", "uar"),
            )
        },
    )


def _outcome_of_run(run: Path) -> _Outcome:
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


def _summarise(sweep: Sweep, done: Sequence[CrossValidation | Path], out: Path) -> SweepResult:
    """Put the results of the variants' cross-validations or runs next to the published ones; write table and plot."""
    outcomes = [
        _outcome_of_folds(each) if isinstance(each, CrossValidation) else _outcome_of_run(each)
        for each in done
    ]
    rows = []
    for variant, outcome in zip(sweep.variants, outcomes, strict=True):
        published = ablation(sweep.published, variant.name) if sweep.published else {}
        rows.append(VariantResult(variant=variant, published=published, **outcome.figures))
    datasets = tuple(sorted({name for row in rows for name in row.published}))
    last = outcomes[-1]
    reason = ablation_not_comparable_reason(last.dataset, last.protocol, last.clips, datasets)
    baseline = _baseline(done[0])
    result = SweepResult(rows=tuple(rows), baseline=baseline, datasets=datasets, not_comparable=reason)
    with run_folder.writing(out):
        write_atomic(out / SWEEP, as_table(result).write_csv().encode())
        write_atomic(out / SWEEP_PLOT, _plot(result, sweep))
    return result


def _baseline(done: CrossValidation | Path) -> tuple[float, float] | None:
    """WAR and UAR of the landmark baseline on the test clips of a variant; None if it has none."""
    if isinstance(done, CrossValidation):
        return done.baseline_means
    figures = baseline_figures(done, read_origin(done)["labels"])
    return figures and (figures.war, figures.uar)


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
        published,
        title=sweep.title,
        axis=sweep.axis,
        comparable=result.not_comparable is None,
        baseline=result.baseline and result.baseline[0],
    )


def as_table(result: SweepResult) -> pl.DataFrame:
    """One row per variant, with the published WAR and the remarks on it by dataset; shares in 0–1.

    The first row is that of the landmark baseline, if there is one.
    """
    rows: list[dict[str, Any]] = []
    if result.baseline:
        war, uar = result.baseline
        rows.append({"variant": BASELINE_ROW, "what": DESCRIPTION, "last_war": war, "last_uar": uar})
    for row in result.rows:
        content = {
            "variant": row.variant.name,
            "what": row.variant.what,
            "last_war": row.war,
            "last_uar": row.uar,
            "best_war": row.best_war,
            "best_uar": row.best_uar,
        }
        for dataset in result.datasets:
            figure = row.published.get(dataset)
            content[f"published_war_{dataset}"] = figure.war if figure else None
            content[f"published_remark_{dataset}"] = figure.remark if figure else None
        rows.append(content)
    return pl.DataFrame(rows, infer_schema_length=None)


def as_dict(result: SweepResult) -> dict[str, Any]:
    """The table, and why the published results cannot be compared, for JSON."""
    return {"rows": as_table(result).fill_nan(None).to_dicts(), "incomparable": result.not_comparable}
