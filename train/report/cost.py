"""Print a network's size, speed and memory (`train describe`, `train benchmark`)."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from dfer.data_manifest.published_results import PAPER, costs
from dfer.schemas.support.text import counted
from dfer.train.commands.benchmark import training_hours
from dfer.train.commands.describe import Part
from dfer.train.commands.measurement import INFERENCE, TRAINING, Measurement
from dfer.train.config import TrainConfig, load_config

# The training times of Table 8: DFEW's first fold, Section 4.3.5.
TRAINING_CLIPS, EPOCHS = 9356, 80


def print_parts(parts: Sequence[Part]) -> None:
    """Print a row for each part of the network, and the complete network last."""
    table = plain_table()
    table.add_column("part", no_wrap=True)
    table.add_column("")
    table.add_column("output for\none clip", no_wrap=True)
    for column in ("parameters", "multiply-\nadds"):
        table.add_column(column, justify="right", no_wrap=True)
    for part in parts:
        if part is parts[-1]:
            table.add_section()
        name, shape = part.name.replace(" + ", " +\n"), part.shape.replace(", ", ",\n")  # to fit 80 columns
        table.add_row(name, part.what, shape, f"{part.parameters:,}", f"{part.multiply_adds / 1e9:.3f} G")
    Console().print(table)


def print_benchmark(config: TrainConfig, network: Part, measured: Sequence[Measurement]) -> None:
    """Print speed and memory of each task and batch size, then the fastest of them next to Table 8.

    network: the complete network, from `network_parts`
    """
    console, data = Console(), config.data
    console.print(
        f"{network.parameters / 1e6:.1f} M parameters, {network.multiply_adds / 1e9:.1f} G multiply-adds per clip "
        f"of {counted(data.num_frames, 'frame')} of {data.image_size} px",
        soft_wrap=True,
        highlight=False,
    )
    table = plain_table(f"{device_label(measured)}, {config.execution.precision}")
    for column in ("", "batch size", "clips/s", "ms/clip", "memory", "repetitions"):
        table.add_column(column, justify="right" if column else "left")
    for row in measured:
        speed = row.clips_per_second
        if speed is None:
            table.add_row(row.task, str(row.batch_size), row.failure)
        else:
            memory = f"{(row.memory or 0) / 2**30:.2f} GiB"
            shown = (rounded(speed), rounded(1000 / speed), memory, str(row.repetitions))
            table.add_row(row.task, str(row.batch_size), *shown)
        if row.task == TRAINING and row.batch_size == measured[-1].batch_size:
            table.add_section()
    console.print(table)
    _print_table_8(console, config, network, measured)


def _print_table_8(
    console: Console, config: TrainConfig, network: Part, measured: Sequence[Measurement]
) -> None:
    table = plain_table(f"Table 8 of {PAPER} (one RTX 3090)")
    for column in ("method", "parameters", "inference,\nclips/s", "training,\nhours", "remark"):
        table.add_column(column, justify="left" if column in ("method", "remark") else "right")
    speeds = {task: best_speed(measured, task) for task in (TRAINING, INFERENCE)}
    hours = speeds[TRAINING] and training_hours(speeds[TRAINING], TRAINING_CLIPS, EPOCHS)
    ours = (f"{network.parameters / 1e6:.1f} M", rounded(speeds[INFERENCE]), rounded(hours))
    remark = "\n".join(_differences_from_paper(config))
    table.add_row(f"this network, {device_label(measured)}", *ours, remark, style="bold")
    table.add_section()
    for method, params, speed, hours, remark in costs().iter_rows():
        method = f"{method} (as printed)" if method == PAPER else method
        table.add_row(method, f"{params:g} M", f"{speed:g}", f"{hours:g}", remark or "")
    console.print(table)
    console.print(
        "This network: the fastest batch sizes above. The paper does not print its input size.\n"
        f"Training hours: {EPOCHS} epochs of DFEW's first fold ({TRAINING_CLIPS:,} clips) in every row; "
        "ours without reading clips and evaluation.",
        soft_wrap=True,
        highlight=False,
    )


def _differences_from_paper(config: TrainConfig) -> list[str]:
    """What makes the measured network's work different from that of the published figures."""
    paper, found = load_config("paper"), []
    if config.data.num_frames != paper.data.num_frames:
        found.append(f"{counted(config.data.num_frames, 'frame')}; published: {paper.data.num_frames}")
    if config.network != paper.network:
        found.append("other parts than the preset paper")
    return found


def best_speed(measured: Sequence[Measurement], task: str) -> float | None:
    """The most clips per second of a task; None if none ran."""
    speeds = (row.clips_per_second for row in measured if row.task == task)
    return max((speed for speed in speeds if speed is not None), default=None)


def plain_table(title: str | None = None) -> Table:
    """A table without vertical lines, to fit 80 columns."""
    return Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))


def device_label(measured: Sequence[Measurement]) -> str:
    ran = next((row for row in measured if row.threads), measured[0])
    return f"{ran.device}, {counted(ran.threads, 'thread')}" if ran.device == "cpu" else ran.device


def rounded(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
