"""`train`: a landmark cache to a trained network. Commands parse, call and print; torch waits until it is needed."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import click

from dfer.schemas.support.commands import Program, printable, resumable
from dfer.schemas.support.text import counted
from dfer.train.config import TrainConfig, flag, load_config, preset_note
from dfer.train.options import (
    CACHES_ARGUMENT,
    CHECKPOINT_OPTION,
    CLASSES_OPTION,
    DEVICE_OPTION,
    FOLD_OPTION,
    FOLDS_HELP,
    HOLDOUT_OPTION,
    JSON_OPTION,
    PRESET_OPTION,
    WORKERS_OPTION,
    NumberList,
    SettingsCommand,
    given,
    options_and_settings,
    run_option_flags,
    setting_options,
    start_options,
)

# The settings that decide what a step costs.
BENCHMARKED = (
    *("network", "num_frames", "image_size", "crop_fraction", "color_jitter", "optimiser"),
    *("precision", "channels_last", "compile"),
)


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dfer-keypoints", message="%(prog)s %(version)s")
def main() -> None:
    """Train and judge networks for dynamic facial expression recognition on a landmark cache."""


@main.command(cls=SettingsCommand)
@CACHES_ARGUMENT
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The run's folder.")
@PRESET_OPTION
@FOLD_OPTION
@HOLDOUT_OPTION
@click.option("--resume", is_flag=True, help="Go on with the run in --out, if there is one.")
@start_options
@run_option_flags
@setting_options()
def run(
    caches: tuple[Path, ...],
    out: Path,
    preset: str,
    fold: int | None,
    holdout: float,
    resume: bool,
    init_from: Path | None,
    backbone: Path | None,
    **options: Any,
) -> None:
    """Train a network on a CACHE, or on several as one.

    CACHE is a folder that `pipeline extract` made.

    On several GPUs: torchrun --no-python --nproc-per-node 4 train run CACHE --out RUN.
    """
    from dfer.train.commands.run import start
    from dfer.train.data.splits import SplitChoice
    from dfer.train.engine.experiment import Experiment
    from dfer.train.engine.weights import Start
    from dfer.train.report import terminal

    click.get_current_context().meta["interrupted"] = "; the same command with --resume goes on from here"
    run_options, settings = options_and_settings(options)
    split = SplitChoice(fold=fold, holdout=holdout)
    weights = Start(init_from=init_from, backbone=backbone)
    experiment = Experiment(config=load_config(preset, settings), split=split, start=weights)
    _tell_notes(preset, experiment.config)
    trained = start(caches, out, experiment, run_options, resume=resume)
    if trained:
        terminal.print_run(trained, out)


@main.command(cls=SettingsCommand)
@CACHES_ARGUMENT
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The folder for all folds.")
@click.option("--folds", required=True, help=f"{FOLDS_HELP}.")
@PRESET_OPTION
@start_options
@run_option_flags
@JSON_OPTION
@setting_options()
@resumable
def crossval(
    caches: tuple[Path, ...],
    out: Path,
    folds: str,
    preset: str,
    init_from: Path | None,
    backbone: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Cross-validate: train on all folds but one, judge on that.

    Fold after fold of a CACHE, or of several as one. Run it again to go on.
    """
    import json

    from dfer.train.commands.crossval import as_dict, cross_validate
    from dfer.train.engine.weights import Start
    from dfer.train.report import terminal

    run_options, settings = options_and_settings(options)
    weights = Start(init_from=init_from, backbone=backbone)
    config = load_config(preset, settings)
    _tell_notes(preset, config)
    result = cross_validate(caches, out, config, folds, run_options, weights, _tell_fold)
    if result is None:  # not the first of several processes
        return
    if as_json:
        click.echo(json.dumps(as_dict(result), indent=2))
    else:
        terminal.print_crossval(result, out)


def _tell_notes(preset: str, config: TrainConfig) -> None:
    note = preset_note(preset)
    _tell(note and f"preset {preset}: {note}")
    _tell(config.warning)


def _tell(note: str | None) -> None:
    if note and os.environ.get("RANK", "0") == "0":  # once, however many processes
        click.echo(note, err=True)


def _tell_fold(place: int, count: int) -> None:
    click.echo(f"fold {place + 1} of {count}", err=True)


@main.command(cls=SettingsCommand)
@click.argument("name")
@CACHES_ARGUMENT
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The folder for all variants.")
@click.option(
    "--folds",
    help=f"Cross-validate each variant; {FOLDS_HELP}.",
)
@FOLD_OPTION
@HOLDOUT_OPTION
@start_options
@run_option_flags
@JSON_OPTION
@setting_options()
@resumable
def sweep(
    name: str,
    caches: tuple[Path, ...],
    out: Path,
    folds: str | None,
    fold: int | None,
    holdout: float,
    init_from: Path | None,
    backbone: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Train the variants of a sweep, and compare them.

    NAME is parts, fusion, heads, depth, lambda, or a .toml file. Settings given as flags go to all variants; the
    others are those of the sweep's preset. Run it again to go on.
    """
    import json

    from dfer.train.commands.sweep import Variant, as_dict, load_sweep, run_sweep
    from dfer.train.data.splits import SplitChoice
    from dfer.train.engine.weights import Start
    from dfer.train.report import terminal

    if folds and (fold is not None or holdout):
        raise click.UsageError("--folds goes without --fold and --holdout")
    run_options, settings = options_and_settings(options)
    chosen = load_sweep(name)
    own = [key for key in settings if any(key in variant.settings for variant in chosen.variants)]
    if own:
        raise click.UsageError(f"{flag(own[0])}: the variants of the sweep {name} set it themselves")

    def tell_variant(variant: Variant, config: TrainConfig, place: int, count: int) -> None:
        click.echo(f"{Path(name).stem} {variant.name} (variant {place + 1} of {count})", err=True)
        _tell(config.warning)

    swept = run_sweep(
        caches,
        out,
        chosen,
        settings,
        run_options,
        split=SplitChoice(fold=fold, holdout=holdout),
        folds=folds,
        start=Start(init_from=init_from, backbone=backbone),
        on_variant=tell_variant,
        on_fold=_tell_fold,
    )
    if swept is None:  # not the first of several processes
        return
    if as_json:
        click.echo(json.dumps(as_dict(swept), indent=2))
    else:
        terminal.print_sweep(chosen, swept, out)


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@CACHES_ARGUMENT
@CHECKPOINT_OPTION
@click.option(
    "--clips",
    type=click.Choice(["test", "train", "all"]),
    default="test",
    show_default=True,
    help="Which clips: the run's test or training part, or all with a label.",
)
@click.option(
    "--predictions", type=click.Path(path_type=Path), help="Write every clip's prediction (.csv or .parquet)."
)
@click.option(
    "--confusion", type=click.Path(path_type=Path), help="Write the confusion matrix as a picture (.png)."
)
@DEVICE_OPTION
@WORKERS_OPTION
@JSON_OPTION
def evaluate(
    run: Path,
    caches: tuple[Path, ...],
    which: str,
    clips: str,
    predictions: Path | None,
    confusion: Path | None,
    device: str,
    loader_workers: int | None,
    as_json: bool,
) -> None:
    """Judge the network of a RUN on a CACHE, or several.

    WAR, UAR, recall of each class. CACHE may be of another dataset: its labels are matched by what they mean.
    """
    import json

    from dfer.schemas.support.files import write_atomic
    from dfer.train.commands import evaluate
    from dfer.train.engine.experiment import RunOptions
    from dfer.train.report import terminal
    from dfer.train.results.predictions import predictions_target, write_predictions
    from dfer.train.results.run_folder import own_target

    if predictions:
        predictions_target(predictions)
    picture = own_target(confusion, "--confusion", (".png",)) if confusion else None
    run_options = RunOptions(device=device, loader_workers=loader_workers)
    result = evaluate.evaluate_run(run, caches, which, clips, run_options)
    if predictions:
        write_predictions(predictions, result.predictions, result.origin)
    if picture:
        write_atomic(picture, evaluate.confusion_picture(result))
    if as_json:
        click.echo(json.dumps(terminal.as_dict(result), indent=2))
    else:
        terminal.print_evaluation(result)
    written = [printable(str(path)) for path in (predictions, confusion) if path]
    if written:
        click.echo(f"written: {', '.join(written)}", err=as_json)


@main.command("report")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="The page's file  [default: RUN/report.html].")
@click.option(
    "--cache",
    "caches",
    multiple=True,
    type=click.Path(path_type=Path),
    help="The run's cache, where it was moved; of several give each, in the run's order.",
)
@CHECKPOINT_OPTION
@click.option(
    "--clips",
    "clips_per_kind",
    type=click.IntRange(0, 500),
    default=6,
    show_default=True,
    help="Clips shown of those told rightly, and of those told wrongly; 0 shows no faces.",
)
@DEVICE_OPTION
@WORKERS_OPTION
@JSON_OPTION
def report_command(
    run: Path,
    out: Path | None,
    caches: tuple[Path, ...],
    which: str,
    clips_per_kind: int,
    device: str,
    loader_workers: int | None,
    as_json: bool,
) -> None:
    """Show a RUN on one HTML page.

    Curves, figures, and what the network looks at.
    """
    from dfer.schemas.html.page import write_page
    from dfer.train.engine.experiment import RunOptions
    from dfer.train.report.report import report_page
    from dfer.train.results.run_folder import own_target

    target = out or run / "report.html"
    if out or run.is_dir():  # of a run that is not there something else is said
        own_target(target)
    page = report_page(
        run, caches, which, clips_per_kind, RunOptions(device=device, loader_workers=loader_workers)
    )
    write_page(target, page, as_json)


@main.command(cls=SettingsCommand)
@PRESET_OPTION
@CLASSES_OPTION
@JSON_OPTION
@setting_options("network", "num_frames", "image_size")
def describe(preset: str, classes: int, as_json: bool, **settings: Any) -> None:
    """Print the network of a preset part by part.

    Output shapes, parameters, multiply-adds.
    """
    import json

    from dfer.train.commands.describe import network_parts
    from dfer.train.report import cost

    parts = network_parts(load_config(preset, given(settings)).settled(scores=False), classes)
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(part) for part in parts], indent=2, ensure_ascii=False))
    else:
        cost.print_parts(parts)


@main.command(cls=SettingsCommand)
@PRESET_OPTION
@CLASSES_OPTION
@click.option(
    "--batch-sizes",
    type=NumberList(int),
    default="1,16",
    show_default=True,
    help="Clips at once, one figure for each.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0),
    default=5.0,
    show_default=True,
    help="How long each figure is repeated, at least three times.",
)
@DEVICE_OPTION
@JSON_OPTION
@setting_options(*BENCHMARKED)
def benchmark(
    preset: str,
    classes: int,
    batch_sizes: tuple[int, ...],
    seconds: float,
    device: str,
    as_json: bool,
    **settings: Any,
) -> None:
    """Time the network of a preset on this machine.

    In training and inference, beside the published Table 8.
    """
    import json

    from dfer.train.commands import benchmark
    from dfer.train.commands.describe import network_parts
    from dfer.train.report import cost

    for size in batch_sizes:
        if not 1 <= size <= 10**9:
            raise click.UsageError(f"--batch-sizes {size}: between 1 and 1000000000")
    config = load_config(preset, given(settings)).settled(scores=False)
    measured = []
    for row in benchmark.measure_all(config, classes, batch_sizes, device, seconds):
        click.echo(
            f"{row.task}, {counted(row.batch_size, 'clip')} at once: {row.failure or 'done'}", err=True
        )
        measured.append(row)
    whole = network_parts(config, classes)[-1]
    if as_json:
        content = {
            "parameters": whole.parameters,
            "multiply_adds": whole.multiply_adds,
            "measured": [dataclasses.asdict(row) for row in measured],
        }
        click.echo(json.dumps(content, indent=2))
    else:
        cost.print_benchmark(config, whole, measured)
