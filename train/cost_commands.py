"""The commands of `train` that measure a network's cost and need no cache: `describe` and `benchmark`."""

import dataclasses

import click

from dfer.schemas.support.commands import print_result
from dfer.schemas.support.options import JSON_OPTION, NumberList
from dfer.schemas.support.text import counted
from dfer.train import options
from dfer.train.config import TrainConfig
from dfer.train.options import MAX_BATCH_SIZE

# The settings that change the cost of a step.
BENCHMARKED = (
    *("network", "num_frames", "image_size", "crop_fraction", "color_jitter", "optimiser"),
    *("precision", "channels_last", "compile"),
)


@click.command(cls=options.ModelCommand)
@options.config_options("network", "num_frames", "image_size")
@options.CLASSES
@JSON_OPTION
def describe(config: TrainConfig, classes: int, as_json: bool) -> None:
    """Print a network part by part.

    Output shapes, parameters and multiply-adds.
    """
    from dfer.train.commands.describe import network_parts
    from dfer.train.report.cost import print_parts

    parts = network_parts(config, classes)
    print_result(as_json, lambda: [dataclasses.asdict(part) for part in parts], lambda: print_parts(parts))


@click.command(cls=options.ModelCommand)
@options.config_options(*BENCHMARKED)
@options.CLASSES
@click.option(
    "--batch-sizes",
    type=NumberList(int),
    default="1,16",
    show_default=True,
    help="Batch sizes to time, in clips.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0),
    default=5.0,
    show_default=True,
    help="Seconds per measurement; at least three repetitions.",
)
@options.DEVICE
@JSON_OPTION
def benchmark(
    config: TrainConfig,
    classes: int,
    batch_sizes: tuple[int, ...],
    seconds: float,
    device: str,
    as_json: bool,
) -> None:
    """Time training and inference of a network on this machine.

    The result is shown next to the published Table 8.
    """
    from dfer.train.commands.benchmark import measure_all
    from dfer.train.commands.describe import network_parts
    from dfer.train.report.cost import print_benchmark

    for size in batch_sizes:
        if not 1 <= size <= MAX_BATCH_SIZE:
            raise click.UsageError(f"--batch-sizes {size}: must be between 1 and {MAX_BATCH_SIZE}")
    measured = []
    for row in measure_all(config, classes, batch_sizes, device, seconds):
        click.echo(
            f"{row.task}, batch of {counted(row.batch_size, 'clip')}: {row.failure or 'done'}", err=True
        )
        measured.append(row)
    network = network_parts(config, classes)[-1]
    content = {
        "parameters": network.parameters,
        "multiply_adds": network.multiply_adds,
        "measured": [dataclasses.asdict(row) for row in measured],
    }
    print_result(as_json, lambda: content, lambda: print_benchmark(config, network, measured))
