"""Print the speed and memory of several networks, and the fastest way to run each (`train benchmark`)."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from dfer.schemas.support.text import counted
from dfer.train.commands.describe import Part
from dfer.train.commands.measurement import Measurement
from dfer.train.config import TrainConfig
from dfer.train.report.cost import device_label, plain_table, rounded


def print_speeds(
    configs: Mapping[str, TrainConfig], sizes: Mapping[str, Part | None], measured: Sequence[Measurement]
) -> None:
    """Print the networks' sizes, a row for each measurement, and what was left out.

    sizes: the complete networks, from `network_parts`; None where one cannot take its input
    """
    console = Console()
    console.print(_sizes(configs, sizes))
    console.print(_speeds(measured))
    for line in _notes(configs, measured):
        console.print(line, soft_wrap=True, highlight=False)


def _sizes(configs: Mapping[str, TrainConfig], sizes: Mapping[str, Part | None]) -> Table:
    table = plain_table()
    table.add_column("model", overflow="fold")
    for column in ("input", "parameters", "multiply-adds"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, config in configs.items():
        size, data = sizes[name], config.data
        numbers = (
            (f"{size.parameters / 1e6:.2f} M", f"{size.multiply_adds / 1e9:.2f} G") if size else ("–", "–")
        )
        table.add_row(name, f"{data.num_frames} × {data.image_size} px", *numbers)
    return table


def _speeds(measured: Sequence[Measurement]) -> Table:
    several, tried = len({row.model for row in measured}) > 1, any(row.tried for row in measured)
    table = plain_table(device_label(measured))
    table.add_column("model", overflow="fold")
    columns = ["clips/s", *(["relative"] * several), "memory", *(["fastest\nclips/s", "with"] * tried)]
    for column in columns:
        left = column == "with"
        table.add_column(column, justify="left" if left else "right", no_wrap=not left)
    group = None
    for row in measured:
        if group != (row.task, row.batch_size):
            group = (row.task, row.batch_size)
            table.add_section()
            table.add_row(f"{row.task}, {counted(row.batch_size, 'clip')}", style="bold")
        table.add_row(row.model, *_cells(row, several, tried))
    return table


def _cells(row: Measurement, several: bool, tried: bool) -> list[str]:
    if row.clips_per_second is None:
        return ["–"]
    cells = [rounded(row.clips_per_second)]
    if several:
        cells.append("–" if row.relative is None else f"{row.relative:.2f} ×")
    cells.append(f"{(row.memory or 0) / 2**30:.2f} GiB")
    if tried:
        fastest = row.fastest
        speed = row.clips_per_second * (fastest.speedup if fastest else 1)
        cells += [rounded(speed), f"{fastest.way} ({fastest.speedup:.2f} ×)" if fastest else "plain"]
    return cells


def _notes(configs: Mapping[str, TrainConfig], measured: Sequence[Measurement]) -> list[str]:
    lines = []
    if len(configs) > 1:
        lines.append(f"Relative: speed over that of {next(iter(configs))}, which ran in turn with each.")
    for row in measured:
        where = f"{row.model}, {row.task} of {counted(row.batch_size, 'clip')}"
        if row.failure:
            lines.append(f"{where}: {row.failure}")
        lines += [f"{where}, {each.way}: {each.failure}" for each in row.tried if each.failure]
    return lines
