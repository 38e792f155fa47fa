"""The commands of `train` that use a trained model: `predict`, `export`; more in `live_commands`."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click

from dfer.schemas.support.commands import print_result, printable
from dfer.schemas.support.options import JSON_OPTION, NumberOrWord
from dfer.train import options
from dfer.train.options import PATH

LIMITS = """\
The small model was trained on FER+: small grey pictures from web searches, posed or not, each labelled by ten people
with the expression that they saw. What a face shows is not what a person feels. It was measured on posed clips, not
on spontaneous expressions, nor on people who speak, whose mouths it misreads. Ages and skin tones are not balanced in
FER+ and not recorded, so nobody knows for whom it is worse. It names happy and neutral faces best, and seldom
recognises fear, disgust or contempt. It sees single frames and no movement. Do not decide anything about a person
with it. Figures: train/README.md, "The small model"."""

INPUT = click.option(
    "--input",
    "frames_show",
    type=click.Choice(["scene", "face"]),
    help="What the frames show, if not what those of the training clips do; face: face crops already.",
)
PEOPLE = click.option(
    "--people",
    metavar="N|all",
    type=NumberOrWord(("all",)),
    default=1,
    show_default=True,
    help="Of how many people in a video to give an answer, each their own.",
)


@click.command(epilog=LIMITS)
@click.argument("run")
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True)
@options.CHECKPOINT
@INPUT
@PEOPLE
@click.option(
    "--person",
    type=click.Choice(["heaviest", "largest", "center", "longest"]),
    help="Whom to follow first, if not as in the training clips: the face that is large, certain and stays "
    "(heaviest), the largest, the one nearest to the centre, or the one in most frames.",
)
@click.option("--keep", metavar="CACHE", type=PATH, help="Keep what is extracted as this cache.")
@click.option("--csv", type=PATH, help="Write the predictions to this file too (.csv).")
@click.option("--parquet", type=PATH, help="Write the predictions to this file too (.parquet).")
@click.option(
    "--workers", type=click.IntRange(min=1), help="Processes that extract.  [default: one per core]"
)
@click.option(
    "--window",
    metavar="SECONDS",
    type=float,
    help="Predict each window of this length, not a clip as one: the emotion over time.",
)
@click.option(
    "--step",
    metavar="SECONDS",
    type=float,
    help="From the start of a window to that of the next.  [default: a quarter of the window]",
)
@click.option(
    "--plot",
    metavar="FILE",
    type=PATH,
    help="Draw the windows over time, with crops of the face: a picture (.png) or a page (.html).",
)
@click.option(
    "--annotate",
    metavar="FILE",
    type=PATH,
    help="Write the video again (.mp4), with the face, key-points, class and probabilities drawn in.",
)
@click.option(
    "--runtime",
    type=click.Choice(["torch", "onnx", "int8"]),
    default="torch",
    show_default=True,
    help="onnx, int8: use the file that `train export` wrote into RUN, on the CPU.",
)
@options.DEVICE
@JSON_OPTION
def predict(
    run: str,
    inputs: tuple[str, ...],
    which: str,
    frames_show: str | None,
    people: int | str,
    person: str | None,
    keep: Path | None,
    csv: Path | None,
    parquet: Path | None,
    workers: int | None,
    window: float | None,
    step: float | None,
    plot: Path | None,
    annotate: Path | None,
    runtime: str,
    device: str,
    as_json: bool,
) -> None:
    """Name the emotion in clips with the network of a RUN (also an .onnx file of `train export`), or with `default`.

    INPUT is a video, a folder or table of clips, a pattern such as 'clips/*.mp4', or a landmark cache. Videos are
    extracted like the clips that the network was trained on, in a temporary folder. Exits with 3 if there is a clip
    without an answer.
    """
    from dfer.train.results.predictions import write_predictions
    from dfer.train.results.run_folder import output_file
    from dfer.train.use import show
    from dfer.train.use.over_time.drawings import drawings_of
    from dfer.train.use.over_time.windows import windows_for
    from dfer.train.use.predict import load
    from dfer.train.use.prediction import all_answered, as_table

    if "" in inputs:
        raise click.UsageError("an INPUT is empty; give a file or a folder (. for this folder)")
    flags = (("--csv", csv), ("--parquet", parquet))
    tables = [(path, output_file(path, flag, (f".{flag[2:]}",)), flag) for flag, path in flags if path]
    windows = windows_for(window, step, drawn=bool(plot or annotate))
    drawings = drawings_of(plot, annotate, inputs)
    choice = {"keep": keep, "frames_show": frames_show, "workers": workers, "windows": windows}
    choice |= {"people": people, "person": person}
    if keep:
        click.get_current_context().meta["interrupted"] = "; run the same command again to continue"
    with show.prediction_progress() as watch:
        predictor = load(run, checkpoint=which, device=device, runtime=runtime)
        found = predictor.predict(inputs, **choice, faces=bool(drawings), watch=watch)
    labels, written = predictor.labels, []
    try:
        with show.prediction_progress("writing") as watch:
            for path, target, flag in tables:
                write_predictions(target, as_table(found, labels), {"run": run, "checkpoint": which}, flag)
                written.append(path)
            for path, draw in drawings:
                written += [path] if draw(found, predictor, windows, watch) else []
    finally:  # a file that cannot be written does not hide the answers
        shown = partial(show.print_predictions, found, windowed=bool(windows), several=people != 1)
        print_result(as_json, lambda: show.as_json(run, labels, found), shown)
        _print_files(written, keep, as_json)
    if not all_answered(found):
        raise SystemExit(3)


def _print_files(written: Sequence[Path], keep: Path | None, as_json: bool) -> None:
    if written:
        click.echo(f"wrote {', '.join(printable(str(path)) for path in written)}", err=as_json)
    if keep:
        click.echo(f"kept {printable(str(keep))}", err=True)


@click.command()
@options.RUN
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["onnx", "torch", "safetensors"]),
    default="onnx",
    show_default=True,
    help="ONNX; a program for torch.export.load; or the weights alone.",
)
@click.option("--out", type=PATH, help="The file.  [default: in RUN, last.onnx and so on]")
@options.CHECKPOINT
@click.option(
    "--quantize",
    type=click.Choice(["int8"]),
    help="ONNX with numbers of 8 bits, faster; shows its accuracy next to that without.",
)
@click.option(
    "--cache",
    "caches",
    multiple=True,
    type=PATH,
    help="The run's cache, if it was moved; for several, repeat it in the run's order.",
)
@JSON_OPTION
def export(
    run: Path,
    file_format: str,
    out: Path | None,
    which: str,
    quantize: str | None,
    caches: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Write the network of a RUN as a file for other programs.

    Class names, preprocessing, key-points and graph are in the file. It is compared with the network on clips of the
    run's cache, or on made-up input if that is gone. ONNX needs an extra: pip install '.[export]'.
    """
    from dfer.train.report.cells import print_line
    from dfer.train.use.export import as_dict, export_run, lines

    done = export_run(run, file_format=file_format, which=which, out=out, folders=caches, quantize=quantize)
    print_result(as_json, lambda: as_dict(done), lambda: [print_line(line) for line in lines(done)])
