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

from data_manifest.published import ablation
from schemas.errors import UserError
from schemas.files import write_atomic
from train import evaluate, loop, plots, session
from train.comparison import ablation_obstacle
from train.config import load_config
from train.crossval import cross_validate
from train.experiment import Experiment, Means, read_origin
from train.predictions import read_predictions
from train.shards import open_pool
from train.splits import SplitChoice
from train.weights import AFRESH, Start

SWEEPS = Path(__file__).parent / "presets" / "sweeps"
TABLE, PLOT = "sweep.csv", "sweep.png"


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
        variants = tuple(
            Variant(name=str(v["name"]), what=str(v.get("what", "")), settings=dict(v["set"]))
            for v in content["variant"]
        )
        fields = {key: str(content.get(key, "")) for key in ("title", "base", "axis", "published")}
    except FileNotFoundError:
        known = ", ".join(sorted(p.stem for p in SWEEPS.glob("*.toml")))
        raise UserError(f"no sweep {name}: give one of {known}, or a .toml file") from None
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise UserError(f"{path} is no sweep: {error}") from None
    names = [variant.name for variant in variants]
    if not names or len(set(names)) < len(names) or not all(map(_can_be_a_folder, names)):
        raise UserError(f"{path} is no sweep: its variants need different names that can be folders")
    return Sweep(**fields, variants=variants)


def _can_be_a_folder(name: str) -> bool:
    return (
        name.isprintable()
        and "/" not in name
        and name not in ("", ".", "..", TABLE, PLOT)
        and len(name.encode()) < 200
    )


def run_sweep(
    folders: Sequence[Path],
    out: Path,
    sweep: Sweep,
    overrides: Mapping[str, Any],
    means: Means,
    *,
    split: SplitChoice,
    folds: str | None,
    start: Start = AFRESH,
    on_variant: Callable[[Variant, int, int], None] = lambda variant, place, count: None,
    on_fold: Callable[[int, int], None] = lambda place, count: None,
) -> Swept:
    """Train what is not done of a sweep; a row for each variant, written as sweep.csv and sweep.png.

    overrides: settings of all variants; a variant's own go before them. folds: as for `crossval`, or None for one
    run on `split`. on_variant: told before each variant its place from 0 and how many there are; on_fold: as for
    `cross_validate`.
    Raises UserError for settings, a cache or a folder that cannot be used; all settings are checked first.
    """
    configs = [load_config(sweep.base, {**overrides, **variant.settings}) for variant in sweep.variants]
    open_pool(*folders)  # before anything is made
    rows = []
    for place, (variant, config) in enumerate(zip(sweep.variants, configs, strict=True)):
        on_variant(variant, place, len(configs))
        folder = out / variant.name
        if folds:
            result = cross_validate(folders, folder, config, folds, means, start, on_fold)
            dataset, protocol, clips = result.dataset, result.protocol, result.pooled_last.clips
            figures = [
                result.mean(which, figure)[0] for which in ("last", "best") for figure in ("war", "uar")
            ]
        else:
            experiment = Experiment(config=config, split=split, start=start)
            session.start(folders, folder, experiment, means, resume=True)
            origin = read_origin(folder)
            dataset, protocol, clips = (origin[name] for name in ("dataset", "protocol", "test_clips"))
            figures = _figures_of(folder, origin["labels"])
        names = ("war", "uar", "best_war", "best_uar")
        published = ablation(sweep.published, variant.name) if sweep.published else {}
        rows.append(Row(variant=variant, published=published, **dict(zip(names, figures, strict=True))))
    datasets = tuple(sorted({name for row in rows for name in row.published}))
    incomparable = ablation_obstacle(dataset, protocol, clips, datasets)
    swept = Swept(rows=tuple(rows), datasets=datasets, incomparable=incomparable)
    with loop.writing(out):
        write_atomic(out / TABLE, as_table(swept).write_csv().encode())
        write_atomic(out / PLOT, _plot(swept, sweep))
    return swept


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


def _figures_of(run: Path, labels: Sequence[str]) -> list[float]:
    names = (loop.PREDICTIONS, loop.BEST_PREDICTIONS)
    judged = [evaluate.judge(read_predictions(run / name, labels), labels) for name in names]
    return [figure for figures in judged for figure in (figures.war, figures.uar)]
