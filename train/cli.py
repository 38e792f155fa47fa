"""The command line of `train`: each command parses its flags, calls the module of its name, and prints the result.

torch is imported by those modules, not here, so that --help is fast.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dfer.schemas.support.commands import Program, print_result, printable
from dfer.schemas.support.options import JSON_OPTION
from dfer.schemas.support.text import command
from dfer.train import options
from dfer.train.config import load_config
from dfer.train.cost_commands import benchmark, describe
from dfer.train.live_commands import live, serve
from dfer.train.model_command import ModelCommand
from dfer.train.options import PATH, TrainingFlags
from dfer.train.several_commands import compare, crossval, job, print_notes, refuse_both, sweep
from dfer.train.use_commands import export, predict

if TYPE_CHECKING:
    from dfer.train.data.splits import SplitChoice
    from dfer.train.engine.experiment import RunOptions

Paths = tuple[Path, ...]


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dfer-keypoints", message="%(prog)s %(version)s")
def main() -> None:
    """Train and evaluate networks for dynamic facial expression recognition on landmark caches."""


@main.command(cls=ModelCommand)
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
    print_notes(preset, config, training)
    experiment = Experiment(config=config, split=split, start=training.start)
    result = train_run(caches, out, experiment, training.run_options, resume=resume)
    if result:  # None in all but the first of several processes
        print_run(result, out, caches, config)


@main.command()
@options.CACHES
@click.option("--folds", type=options.TEXT, help=f"Cross-validate: {options.FOLDS_HELP}.")
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
    from dfer.train.commands.evaluate import result_files, write_files
    from dfer.train.report.terminal import print_baseline

    refuse_both(folds, split)
    files = result_files(predictions)
    result = run_baseline(caches, split, folds, seed)
    print_result(as_json, lambda: as_dict(result), lambda: print_baseline(result))
    write_files(result.pooled, files)
    if predictions:
        click.echo(f"wrote {printable(str(predictions))}", err=as_json)


@main.command()
@options.RUN
@options.CACHES
@options.CHECKPOINT
@click.option(
    "--clips",
    type=click.Choice(["test", "train", "all"]),
    default="test",
    show_default=True,
    help="The run's test clips, its training clips, or all labelled clips.",
)
@click.option(
    "--views",
    type=click.IntRange(1, 100),
    default=1,
    show_default=True,
    help="Views of each clip to average: 2 adds its mirror image, more add samples shifted in time.",
)
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
    from dfer.train.commands.evaluate import as_dict, evaluate_run, result_files, write_files
    from dfer.train.report.terminal import print_evaluation

    files = result_files(predictions, confusion)
    result = evaluate_run(run, caches, which, clips, run_options, views=views)
    print_result(as_json, lambda: as_dict(result), lambda: print_evaluation(result))
    write_files(result, files)
    written = [printable(str(path)) for path in (predictions, confusion) if path]
    if written:
        click.echo(f"wrote {', '.join(written)}", err=as_json)
    if not (as_json or (run / "report.html").exists()):
        click.echo(f"next: {command('train', 'report', run)}, or {command('train', 'predict', run)} VIDEO")


@main.command("report")
@options.RUN
@click.option("--out", type=PATH, help="File of the report.  [default: RUN/report.html]")
@click.option(
    "--cache",
    "caches",
    multiple=True,
    type=PATH,
    help="The run's cache, if it was moved; for several, repeat it in the run's order.",
)
@options.CHECKPOINT
@click.option(
    "--clips",
    "clips_per_kind",
    type=click.IntRange(0, 500),
    default=6,
    show_default=True,
    help="Correctly and incorrectly classified clips to show, each; 0 shows no faces.",
)
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


for each in (predict, live, serve, export, crossval, sweep, compare, job, describe, benchmark):
    main.add_command(each)
