"""The command line of `train`: each command parses its flags, calls the module of its name, and prints the result.

torch is imported by those modules, not here, so that --help is fast.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dfer.schemas.support.commands import Program, print_result, printable, resumable
from dfer.schemas.support.options import JSON_OPTION
from dfer.schemas.support.settings import flag
from dfer.schemas.support.text import command
from dfer.train import options
from dfer.train.config import TrainConfig, default_preset, load_config, preset_note
from dfer.train.cost_commands import benchmark, describe
from dfer.train.options import PATH, TrainingFlags

if TYPE_CHECKING:
    from dfer.train.data.splits import SplitChoice
    from dfer.train.engine.experiment import RunOptions

Paths = tuple[Path, ...]


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dfer-keypoints", message="%(prog)s %(version)s")
def main() -> None:
    """Train and evaluate networks for dynamic facial expression recognition on landmark caches."""


@main.command(cls=options.ModelCommand)
@options.CACHES
@options.out("Folder of the run.")
@options.PRESET
@options.split_options
@click.option("--resume", is_flag=True, help="Resume the run in --out; start it if there is none.")
@options.training_options
def run(
    caches: Paths, out: Path, preset: str | None, split: "SplitChoice", resume: bool, training: TrainingFlags
) -> None:
    """Train a network on one or more landmark caches.

    CACHE is a folder made by `pipeline extract`. Several are used as one dataset.

    On several GPUs: torchrun --no-python --nproc-per-node 4 train run CACHE --out RUN
    """
    from dfer.train.commands.run import train_run
    from dfer.train.engine.experiment import Experiment
    from dfer.train.report.terminal import print_run

    click.get_current_context().meta["interrupted"] = "; run the same command with --resume to continue"
    config = load_config(preset, training.settings)
    _print_notes(preset, config)
    experiment = Experiment(config=config, split=split, start=training.start)
    result = train_run(caches, out, experiment, training.run_options, resume=resume)
    if result:  # None in all but the first of several processes
        print_run(result, out, caches, of_stills=config.data.num_frames == 1)


@main.command()
@options.CACHES
@click.option("--folds", help=f"Cross-validate: {options.FOLDS_HELP}.")
@options.split_options
@options.SEED
@click.option("--predictions", type=PATH, help="Write the prediction for every clip (.csv or .parquet).")
@JSON_OPTION
def baseline(
    caches: Paths,
    folds: str | None,
    split: "SplitChoice",
    seed: int,
    predictions: Path | None,
    as_json: bool,
) -> None:
    """Test what landmark tables alone know: the line to beat.

    Logistic regression on the mean landmarks and expression scores of each clip, without a pixel; splits and figures
    are those of `run` and `crossval`. CACHE may come from `pipeline share`.
    """
    from dfer.train.commands.baseline import as_dict, run_baseline
    from dfer.train.report.terminal import print_baseline

    _refuse_both(folds, split)
    result = run_baseline(caches, split, folds, seed, predictions=predictions)
    print_result(as_json, lambda: as_dict(result), lambda: print_baseline(result))
    if predictions:
        click.echo(f"wrote {printable(str(predictions))}", err=as_json)


@main.command(cls=options.ModelCommand)
@options.CACHES
@options.out("Folder of all folds.")
@click.option("--folds", required=True, help=f"{options.FOLDS_HELP}.")
@options.SEEDS
@options.PRESET
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
    from dfer.train.commands.crossval import as_dict, cross_validate
    from dfer.train.report.terminal import print_crossval

    _check_seeds(seeds, training)
    config = load_config(preset, training.settings)
    _print_notes(preset, config)
    if seeds:
        _cross_validate_seeds(caches, out, config, folds, seeds, training, as_json)
        return
    result = cross_validate(caches, out, config, folds, training.run_options, training.start, _print_note)
    if result:
        print_result(as_json, lambda: as_dict(result), lambda: print_crossval(result, out))


@main.command(cls=options.ModelCommand)
@click.argument("name")
@options.CACHES
@options.out("Folder of all variants.")
@click.option(
    "--preset", help="Base of the variants that name none, or a .toml file.  [default: the sweep's]"
)
@click.option("--folds", help=f"Cross-validate each variant: {options.FOLDS_HELP}.")
@options.SEEDS
@options.split_options
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
    from dfer.train.commands.sweep import SweepPlan, as_dict, run_sweep
    from dfer.train.commands.sweep_file import load_sweep
    from dfer.train.report.sweep_tables import print_sweep

    _refuse_both(folds, split)
    if seeds and split.holdout:
        raise click.UsageError("--seeds cannot be combined with --holdout: each seed would test other clips")
    _check_seeds(seeds, training)
    chosen = load_sweep(name, preset)
    for key in training.settings:
        if any(key in variant.settings for variant in chosen.variants):
            raise click.UsageError(f"{flag(key)}: set by the variants of the sweep {name}; leave it out")

    plan = SweepPlan(
        folders=caches,
        overrides=training.settings,
        run_options=training.run_options,
        split=split,
        folds=folds,
        seeds=seeds,
        start=training.start,
    )
    result = run_sweep(chosen, plan, out, _print_note)
    if result:
        print_result(as_json, lambda: as_dict(result), lambda: print_sweep(chosen, result, out))


@main.command()
@options.RUN
@options.CACHES
@options.CHECKPOINT
@options.EVALUATED_CLIPS
@options.VIEWS
@click.option("--predictions", type=PATH, help="Write the prediction for every clip (.csv or .parquet).")
@click.option("--confusion", type=PATH, help="Write the confusion matrix as a picture (.png).")
@options.device_options
@JSON_OPTION
def evaluate(
    run: Path,
    caches: Paths,
    which: str,
    clips: str,
    views: int,
    predictions: Path | None,
    confusion: Path | None,
    run_options: "RunOptions",
    as_json: bool,
) -> None:
    """Evaluate the network of a RUN on one or more caches.

    Prints WAR, UAR and the recall of each class. CACHE may be of another dataset: labels are matched by meaning.
    """
    from dfer.train.commands.evaluate import as_dict, evaluate_run
    from dfer.train.report.terminal import print_evaluation

    result = evaluate_run(
        run, caches, which, clips, run_options, views=views, predictions=predictions, confusion=confusion
    )
    print_result(as_json, lambda: as_dict(result), lambda: print_evaluation(result))
    written = [printable(str(path)) for path in (predictions, confusion) if path]
    if written:
        click.echo(f"wrote {', '.join(written)}", err=as_json)
    if not (as_json or (run / "report.html").exists()):
        click.echo(f"next: {command('train', 'report', run)}")


@main.command("report")
@options.RUN
@click.option("--out", type=PATH, help="File of the report.  [default: RUN/report.html]")
@options.MOVED_CACHES
@options.CHECKPOINT
@options.SHOWN_CLIPS
@options.device_options
@JSON_OPTION
def report_command(
    run: Path,
    out: Path | None,
    caches: Paths,
    which: str,
    clips_per_kind: int,
    run_options: "RunOptions",
    as_json: bool,
) -> None:
    """Write an HTML report of a RUN.

    It shows learning curves, results, and what the network looks at.
    """
    from dfer.schemas.html.page import write_page
    from dfer.train.report.report import report_page, report_target

    target = report_target(run, out)
    page = report_page(run, caches, which, clips_per_kind, run_options)
    write_page(target, page, as_json)


for each in (describe, benchmark):
    main.add_command(each)


def _refuse_both(folds: str | None, split: "SplitChoice") -> None:
    if folds and (split.fold is not None or split.holdout):
        raise click.UsageError("--folds cannot be combined with --fold or --holdout")


def _check_seeds(seeds: tuple[int, ...], training: TrainingFlags) -> None:
    if seeds and "seed" in training.settings:
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
    from dfer.train.commands.seeds import as_dict, cross_validate_seeds
    from dfer.train.report.sweep_tables import print_seeds

    run_options, start = training.run_options, training.start
    result = cross_validate_seeds(caches, out, config, folds, seeds, run_options, start, _print_note)
    if result:
        print_result(as_json, lambda: as_dict(result), lambda: print_seeds(result, out))


def _print_notes(preset: str | None, config: TrainConfig) -> None:
    preset = preset or default_preset(config.model)
    note = preset_note(preset)
    _print_note(note and f"preset {preset}: {note}")
    _print_note(config.warning)


def _print_note(note: str | None) -> None:
    if note and os.environ.get("RANK", "0") == "0":  # once, not in each of torchrun's processes
        click.echo(note, err=True)
