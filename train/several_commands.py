"""The commands of `train` that train several runs: `crossval`, `sweep` and `compare`."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dfer.schemas.support.commands import print_result, resumable
from dfer.schemas.support.files import write_atomic
from dfer.schemas.support.options import JSON_OPTION, NumberList, SettingsCommand
from dfer.schemas.support.settings import flag
from dfer.train import options
from dfer.train.config import TrainConfig, default_preset, load_config, preset_note
from dfer.train.model_command import ModelCommand
from dfer.train.options import TrainingFlags

if TYPE_CHECKING:
    from dfer.train.data.splits import SplitChoice

Paths = tuple[Path, ...]


@click.command(cls=ModelCommand)
@options.CACHES
@options.out("Folder of all folds.")
@click.option("--folds", required=True, type=options.TEXT, help=f"{options.FOLDS_HELP}.")
@options.SEEDS
@options.PRESET
@options.DASK
@options.training_options
@JSON_OPTION
@resumable
def crossval(
    caches: Paths,
    out: Path,
    folds: str,
    seeds: tuple[int, ...],
    preset: str | None,
    training: TrainingFlags,
    as_json: bool,
) -> None:
    """Cross-validate: train and test once per fold (with --seeds: once per seed and fold).

    CACHE is a folder made by `pipeline extract`. Several are used as one dataset. Run the command again to resume.
    """
    from dfer.train.report.terminal import print_crossval
    from dfer.train.several.crossval import as_dict, cross_validate

    _check_seeds(seeds, training.settings)
    config = load_config(preset, training.settings)
    print_notes(preset, config, training)
    if seeds:
        _cross_validate_seeds(caches, out, config, folds, seeds, training, as_json)
        return
    result = cross_validate(caches, out, config, folds, training.run_options, training.start, print_note)
    if result:
        print_result(as_json, lambda: as_dict(result), lambda: print_crossval(result, out))


@click.command(cls=ModelCommand)
@click.argument("name")
@options.CACHES
@options.out("Folder of all variants.")
@click.option(
    "--preset",
    type=options.TEXT,
    help="Base of the variants that name none, or a .toml file.  [default: the sweep's]",
)
@click.option("--folds", type=options.TEXT, help=f"Cross-validate each variant: {options.FOLDS_HELP}.")
@options.SEEDS
@options.split_options
@options.DASK
@options.training_options
@JSON_OPTION
@resumable
def sweep(
    name: str,
    caches: Paths,
    out: Path,
    preset: str | None,
    folds: str | None,
    seeds: tuple[int, ...],
    split: "SplitChoice",
    training: TrainingFlags,
    as_json: bool,
) -> None:
    """Train all variants of a sweep and compare them.

    NAME is parts, fusion, heads, depth, lambda, levers, or a .toml file. Settings given as flags apply to all
    variants. Run the command again to resume.
    """
    from dfer.train.report.sweep_tables import print_sweep
    from dfer.train.several.candidates import Plan
    from dfer.train.several.sweep import as_dict, run_sweep
    from dfer.train.several.sweep_file import load_sweep

    refuse_both(folds, split)
    _check_seeds(seeds, training.settings, split)
    chosen = load_sweep(name, preset)
    for key in training.settings:
        if any(key in variant.settings for variant in chosen.variants):
            raise click.UsageError(f"{flag(key)}: set by the variants of the sweep {name}; leave it out")

    plan = Plan(folders=caches, run_options=training.run_options, split=split, folds=folds, seeds=seeds)
    result = run_sweep(chosen, plan, out, training.settings, training.start, print_note)
    if result:
        print_result(as_json, lambda: as_dict(result), lambda: print_sweep(result, out))


@click.command(cls=SettingsCommand)
@options.CACHES
@click.option(
    "--models",
    required=True,
    type=NumberList(str),
    metavar="NAME,…",
    help="Networks to compare: names of models or presets, or FILE.py:CLASS. The first is the one to compare with.",
)
@options.out("Folder of all networks.")
@click.option("--folds", type=options.TEXT, help=f"Cross-validate each network: {options.FOLDS_HELP}.")
@options.SEEDS
@options.split_options
@click.option(
    "--recipe",
    "--preset",
    "recipe",
    type=options.TEXT,
    default="own",
    show_default=True,
    help="own: each network with its published recipe, on the crops and for the epochs of the first; or a preset, "
    "such as strong, or a .toml file, for all.",
)
@click.option(
    "--pretrain", "stills", metavar="STILLS", type=options.PATH, help="Cache to train each network on first."
)
@click.option(
    "--pretrain-epochs",
    type=click.IntRange(min=1),
    help="Passes over STILLS.  [default: those of the preset pretrain]",
)
@options.DASK
@options.budget_options
@JSON_OPTION
@resumable
def compare(
    caches: Paths,
    models: tuple[str, ...],
    out: Path,
    folds: str | None,
    seeds: tuple[int, ...],
    split: "SplitChoice",
    recipe: str,
    stills: Path | None,
    pretrain_epochs: int | None,
    budget: options.BudgetFlags,
    as_json: bool,
) -> None:
    """Compare networks: train each on the same clips, crops, epochs and seeds.

    Shows WAR and UAR with intervals, differences from the first network, and costs, next to the landmark baseline and
    published results; writes a page with them. CACHE is a folder made by `pipeline extract`. Settings given as flags
    apply to all networks. Run the command again to resume.
    """
    from dfer.train.report.compare_page import comparison_page
    from dfer.train.report.sweep_tables import print_compare
    from dfer.train.results import run_folder
    from dfer.train.several.candidates import Plan
    from dfer.train.several.compare import as_dict, run_compare
    from dfer.train.several.compared_networks import Networks

    refuse_both(folds, split)
    _check_seeds(seeds, budget.settings, split)
    if not all(models):
        raise click.UsageError(f"--models {','.join(models)}: {options.SEVERAL_NAMES}")
    if pretrain_epochs and not stills:
        raise click.UsageError("--pretrain-epochs needs --pretrain STILLS")
    asked = Networks(
        models=models, recipe=recipe, settings=budget.settings, stills=stills, pretrain_epochs=pretrain_epochs
    )
    plan = Plan(folders=caches, run_options=budget.run_options, split=split, folds=folds, seeds=seeds)
    result = run_compare(asked, plan, out, print_note)
    if result:
        with run_folder.writing(out):
            write_atomic(out / run_folder.COMPARISON_PAGE, comparison_page(result, out))
        print_result(as_json, lambda: as_dict(result), lambda: print_compare(result, out))


@click.command(hidden=True)
def job() -> None:
    """Train the run that is described on stdin (`--dask` runs this)."""
    from dfer.schemas.support.processes import end_with_parent
    from dfer.train.commands.run import train_run
    from dfer.train.several.cluster import job_from

    end_with_parent(os.getppid())
    found, run_options = job_from(sys.stdin.read())
    train_run(found.folders, found.out, found.experiment, run_options, resume=True)


def refuse_both(folds: str | None, split: "SplitChoice") -> None:
    """Raise click's UsageError if both folds and a single split are asked for."""
    if folds and (split.fold is not None or split.holdout):
        raise click.UsageError("--folds cannot be combined with --fold or --holdout")


def print_notes(preset: str | None, config: TrainConfig, training: TrainingFlags) -> None:
    """Print what a person should know of a preset, of unusual settings, and of a flag without effect."""
    preset = preset or default_preset(training.settings.get("model"))
    note = preset_note(preset)
    print_note(note and f"preset {preset}: {note}")
    print_note(config.warning)
    if "loaded_lr" in training.settings and not (training.start.init_from or training.start.backbone):
        print_note("--loaded-lr has no effect: no weights are given with --init-from or --backbone")


def print_note(note: str | None) -> None:
    """Print a line on stderr, if there is one: once, not in each of torchrun's processes."""
    if note and os.environ.get("RANK", "0") == "0":
        click.echo(note, err=True)


def _check_seeds(
    seeds: tuple[int, ...], settings: Mapping[str, Any], split: "SplitChoice | None" = None
) -> None:
    if seeds and split and split.holdout:
        raise click.UsageError("--seeds cannot be combined with --holdout: each seed would test other clips")
    if seeds and "seed" in settings:
        raise click.UsageError("--seed cannot be combined with --seeds")
    if len(set(seeds)) < len(seeds) or not all(0 <= seed < 2**31 for seed in seeds):
        raise click.UsageError("--seeds: give different numbers from 0 to 2147483647")


def _cross_validate_seeds(
    caches: Paths,
    out: Path,
    config: TrainConfig,
    folds: str,
    seeds: tuple[int, ...],
    training: TrainingFlags,
    as_json: bool,
) -> None:
    from dfer.train.report.sweep_tables import print_seeds
    from dfer.train.several.seeds import as_dict, cross_validate_seeds

    run_options, start = training.run_options, training.start
    result = cross_validate_seeds(caches, out, config, folds, seeds, run_options, start, print_note)
    if result:
        print_result(as_json, lambda: as_dict(result), lambda: print_seeds(result, out))
