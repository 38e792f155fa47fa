"""What a person sees of a network's size, speed and memory."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from dfer.data_manifest.published import PAPER, costs
from dfer.schemas.support.text import counted
from dfer.train.commands.benchmark import INFERENCE, TRAINING, Measurement, training_hours
from dfer.train.commands.describe import Part
from dfer.train.config import TrainConfig, load_config

# What the published training times are of (Table 8): DFEW's first fold.
TRAINING_CLIPS, EPOCHS = 9356, 80


def print_parts(parts: Sequence[Part]) -> None:
    """The network part by part."""
    table = Table()
    table.add_column("part", no_wrap=True)
    table.add_column("")
    table.add_column("output for\none clip", overflow="fold")
    for column in ("parameters", "multiply-\nadds"):  # in two lines: 80 columns hold the table
        table.add_column(column, justify="right", no_wrap=True)
    for part in parts:
        if part is parts[-1]:
            table.add_section()
        table.add_row(
            part.name, part.what, part.shape, f"{part.parameters:,}", f"{part.multiply_adds / 1e9:.3f} G"
        )
    Console().print(table)


def print_benchmark(config: TrainConfig, whole: Part, measured: Sequence[Measurement]) -> None:
    """Speed and memory of each task and batch size, then the best of them beside Table 8."""
    console, data = Console(), config.data
    console.print(
        f"{whole.parameters / 1e6:.1f} M parameters, {whole.multiply_adds / 1e9:.1f} G multiply-adds for a clip "
        f"of {counted(data.num_frames, 'frame')} of {data.image_size} px",
        soft_wrap=True,
        highlight=False,
    )
    table = Table(title=f"{_where(measured)}, {config.execution.precision}", title_justify="left")
    for column in ("", "clips at once", "clips/s", "ms a clip", "memory", "repetitions"):
        table.add_column(column, justify="right" if column else "left")
    for row in measured:
        speed = row.clips_per_second
        if speed is None:
            table.add_row(row.task, str(row.batch_size), row.failure)
        else:
            memory = f"{(row.memory or 0) / 2**30:.2f} GiB"
            shown = (_figure(speed), _figure(1000 / speed), memory, str(row.repetitions))
            table.add_row(row.task, str(row.batch_size), *shown)
        if row.task == TRAINING and row.batch_size == measured[-1].batch_size:
            table.add_section()
    console.print(table)
    _print_published(console, config, whole, measured)


def _print_published(
    console: Console, config: TrainConfig, whole: Part, measured: Sequence[Measurement]
) -> None:
    table = Table(title="beside Table 8 of Huang et al. 2024 (one RTX 3090)", title_justify="left")
    for column in ("method", "parameters", "inference, clips/s", "training, h", ""):
        table.add_column(column, justify="left" if column in ("method", "") else "right")
    speeds = {task: best_speed(measured, task) for task in (TRAINING, INFERENCE)}
    hours = speeds[TRAINING] and training_hours(speeds[TRAINING], TRAINING_CLIPS, EPOCHS)
    ours = (f"{whole.parameters / 1e6:.1f} M", _figure(speeds[INFERENCE]), _figure(hours))
    remark = "\n".join(["at its fastest above", *_unlike_the_published(config)])
    table.add_row(f"this network, {_where(measured)}", *ours, remark, style="bold")
    table.add_section()
    for method, params, speed, hours, remark in costs().iter_rows():
        method = f"{method} (as printed)" if method == PAPER else method
        table.add_row(method, f"{params:g} M", f"{speed:g}", f"{hours:g}", remark or "")
    console.print(table)
    console.print(
        f"training, h: in every row {EPOCHS} epochs of the {TRAINING_CLIPS:,} training clips of DFEW's first fold, "
        "whatever the preset's epochs; ours from the training speed above, without reading and judging",
        soft_wrap=True,
        highlight=False,
    )


def _unlike_the_published(config: TrainConfig) -> list[str]:
    """In what the measured network is another than the published one: its figures are not of the same work."""
    paper, data = load_config("paper"), config.data
    ours, theirs = (data.num_frames, data.image_size), (paper.data.num_frames, paper.data.image_size)
    found = []
    if ours != theirs:
        frames = counted(data.num_frames, "frame")
        found.append(f"{frames} of {data.image_size} px; published: {theirs[0]} of {theirs[1]}")
    if config.network != paper.network:
        found.append("other parts than the published network")
    return found


def best_speed(measured: Sequence[Measurement], task: str) -> float | None:
    """The most clips a second of a task; None where none ran."""
    speeds = (row.clips_per_second for row in measured if row.task == task)
    return max((speed for speed in speeds if speed is not None), default=None)


def _where(measured: Sequence[Measurement]) -> str:
    ran = next((row for row in measured if row.threads), measured[0])
    return f"{ran.device}, {counted(ran.threads, 'thread')}" if ran.device == "cpu" else ran.device


def _figure(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
