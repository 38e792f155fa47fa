"""The commands of `train` that measure a network's cost and need no cache: `describe` and `benchmark`."""

import dataclasses
from typing import TYPE_CHECKING

import click

from dfer.schemas.support.commands import print_result
from dfer.schemas.support.options import JSON_OPTION, Number, NumberList
from dfer.schemas.support.text import counted
from dfer.train import options
from dfer.train.commands.measurement import TASKS, Measurement
from dfer.train.config import TrainConfig
from dfer.train.model_command import ModelCommand
from dfer.train.options import MAX_BATCH_SIZE

if TYPE_CHECKING:
    from dfer.train.commands.describe import Part

# The settings that change the cost of a step.
BENCHMARKED = (
    *("network", "num_frames", "image_size", "crop_fraction", "color_jitter", "optimiser"),
    *("precision", "channels_last", "compile"),
)
NUM_FRAMES, IMAGE_SIZE = 16, 112  # the input of several models
BATCH_SIZES = click.option(
    "--batch-sizes",
    type=NumberList(int),
    default="1,16",
    show_default=True,
    help="Batch sizes to time, in clips.",
)
SECONDS = click.option(
    "--seconds",
    type=Number(0),
    default=5.0,
    show_default=True,
    help="Seconds per measurement; at least three repetitions.",
)
TASK = click.option("--task", type=click.Choice(TASKS), help="Time one of them.  [default: both]")
OWN_INPUT = click.option(
    "--own-input",
    is_flag=True,
    help=f"Time several models each at the input of its preset, not all at {NUM_FRAMES} frames of {IMAGE_SIZE} px.",
)
FASTEST = click.option(
    "--fastest",
    is_flag=True,
    help="Also try fused batch norm, channels-last, bfloat16 and torch.compile, and find what is fastest here. "
    "Compiling takes minutes each time; --no-compile leaves it out.",
)


@click.command(cls=ModelCommand)
@options.config_options("network", "num_frames", "image_size")
@options.CLASSES
@JSON_OPTION
def describe(configs: dict[str, TrainConfig], classes: int, as_json: bool) -> None:
    """Print a network part by part.

    Output shapes, parameters and multiply-adds.
    """
    from dfer.train.commands.describe import network_parts
    from dfer.train.report.cost import print_parts

    if len(configs) > 1:
        raise click.UsageError("--model: give one; `train benchmark` compares several")
    parts = network_parts(*configs.values(), classes)
    print_result(as_json, lambda: [dataclasses.asdict(part) for part in parts], lambda: print_parts(parts))


@click.command(cls=ModelCommand)
@options.config_options(*BENCHMARKED)
@options.CLASSES
@BATCH_SIZES
@SECONDS
@TASK
@OWN_INPUT
@FASTEST
@options.DEVICE
@JSON_OPTION
def benchmark(
    configs: dict[str, TrainConfig],
    classes: int,
    batch_sizes: tuple[int, ...],
    seconds: float,
    task: str | None,
    own_input: bool,
    fastest: bool,
    device: str,
    as_json: bool,
) -> None:
    """Time training and inference of networks on this machine.

    --model takes several, separated by commas: models, presets for their networks, or .toml files. One alone is shown
    next to the published Table 8.
    """
    from dfer.train.commands.benchmark import measure_models
    from dfer.train.report.cost import print_benchmark
    from dfer.train.report.speeds import print_speeds

    for size in batch_sizes:
        if not 1 <= size <= MAX_BATCH_SIZE:
            raise click.UsageError(f"--batch-sizes {size}: must be between 1 and {MAX_BATCH_SIZE}")
    if len(configs) > 1 and not own_input:
        configs = {name: _at_common_input(config) for name, config in configs.items()}
    measured = []
    tasks = (task,) if task else TASKS
    given = {
        "tasks": tasks,
        "fastest": fastest,
        "compiles": click.get_current_context().params["compile"] is not False,
    }
    for row in measure_models(configs, classes, batch_sizes, device, seconds, **given):
        click.echo(_progress(row), err=True)
        measured.append(row)
    sizes = {name: _size(config, classes) for name, config in configs.items()}
    content = {
        "models": [_facts(name, config, sizes[name]) for name, config in configs.items()],
        "measured": [dataclasses.asdict(row) for row in measured],
    }

    def print_tables() -> None:
        if len(configs) > 1 or fastest or None in sizes.values():
            print_speeds(configs, sizes, measured)
        else:
            ((name, config),) = configs.items()
            print_benchmark(config, sizes[name], measured)

    print_result(as_json, lambda: content, print_tables)


def _at_common_input(config: TrainConfig) -> TrainConfig:
    """The settings with the number of frames and the size that the flags give to all models."""
    given = click.get_current_context().params
    common = {
        "num_frames": given["num_frames"] or NUM_FRAMES,
        "image_size": given["image_size"] or IMAGE_SIZE,
    }
    return dataclasses.replace(config, data=dataclasses.replace(config.data, **common))


def _progress(row: Measurement) -> str:
    model = f"{row.model}, " if row.model else ""
    return f"{model}{row.task}, batch of {counted(row.batch_size, 'clip')}: {row.failure or 'done'}"


def _size(config: TrainConfig, classes: int) -> "Part | None":
    """The complete network's size; None if it cannot take its input, which its measurements say."""
    from dfer.train.commands.describe import network_parts

    try:
        return network_parts(config, classes)[-1]
    except Exception:  # whatever the network raises
        return None


def _facts(name: str, config: TrainConfig, size: "Part | None") -> dict[str, object]:
    return {
        "model": name,
        "num_frames": config.data.num_frames,
        "image_size": config.data.image_size,
        "parameters": size and size.parameters,
        "multiply_adds": size and size.multiply_adds,
    }
