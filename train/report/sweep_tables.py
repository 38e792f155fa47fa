"""Results of `train sweep`, `train compare` and `train crossval --seeds` on the terminal."""

from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table

from dfer.data_manifest.published_results import PAPER
from dfer.schemas.support.text import counted
from dfer.train.commands.measurement import INFERENCE, TRAINING
from dfer.train.report.cells import plain, print_estimate, print_line
from dfer.train.report.terminal import print_published
from dfer.train.results.baseline import DESCRIPTION, ROW, line_to_beat
from dfer.train.results.bootstrap import Difference, Estimate
from dfer.train.results.comparison import footnotes, split_remark
from dfer.train.results.metrics import points

if TYPE_CHECKING:
    from dfer.train.several.candidates import Comparison
    from dfer.train.several.compare import CompareResult
    from dfer.train.several.seeds import SeededCrossValidation
    from dfer.train.several.sweep import SweepResult


def print_sweep(result: "SweepResult", out: Path) -> None:
    """Print our results and the published WAR of each variant, and whether they can be compared."""
    sweep, found, datasets = result.sweep, result.comparison, result.datasets
    marks, notes = footnotes(_sweep_remarks(result))
    first = [plain(sweep.axis), *([""] if any(each.what for each in sweep.variants) else [])]
    ours = ["last\nWAR", "last\nUAR", "best\nWAR", "best\nUAR"]
    table = Table(title=f"{plain(sweep.title)}, {found.tested_on}, %", title_justify="left")
    for column in first:
        table.add_column(column)
    for column in (*ours, *(f"published\n{plain(dataset)}" for dataset in datasets)):
        table.add_column(column, justify="right")
    if notes:
        table.add_column("notes")
    if found.baseline:
        named = (ROW, DESCRIPTION)[: len(first)]
        table.add_row(*named, points(found.baseline.war), points(found.baseline.uar))
    for variant, row, known, mark in zip(sweep.variants, found.rows, result.published, marks, strict=True):
        named = (variant.name, variant.what)[: len(first)]
        published = [known[name].war if name in known else float("nan") for name in datasets]
        figures = (row.war, row.uar, row.best_war, row.best_uar, *published)
        table.add_row(*map(plain, named), *map(points, figures), *([mark] if notes else []))
    Console().print(table)
    print_line("best: the epoch with the highest test WAR")
    if found.baseline:
        print_line(f"baseline: {DESCRIPTION}")
    _print_figures_and_costs(found)
    if datasets:
        where = f"Table {sweep.published}" if sweep.published.isdecimal() else sweep.published
        reason = f"; not comparable with ours: {result.not_comparable}" if result.not_comparable else ""
        print_line(f"published: WAR of {PAPER}, {where}, next to the variant of the same name{reason}")
    for note in notes:
        print_line(note)
    print_line(f"in {out}: sweep.csv, sweep.png, a folder for each variant")


def _sweep_remarks(result: "SweepResult") -> list[list[str]]:
    """Remarks on the published results of each variant, with the dataset unless they apply to all of them."""
    datasets_of: dict[str, set[str]] = {}
    for published in result.published:
        for dataset, figure in published.items():
            for remark in split_remark(figure.remark):
                datasets_of.setdefault(remark, set()).add(dataset)
    remarks = []
    for published in result.published:
        of_row = [
            remark if len(datasets_of[remark]) == len(result.datasets) else f"{dataset}: {remark}"
            for dataset in result.datasets
            if dataset in published
            for remark in split_remark(published[dataset].remark)
        ]
        remarks.append([*dict.fromkeys(of_row)])
    return remarks


def print_seeds(found: "SeededCrossValidation", out: Path) -> None:
    """Print the results of a cross-validation with each seed, their means, and the published results."""
    shown = [(which, figure) for which in ("last", "best") for figure in ("war", "uar")]
    columns = [f"{which}\n{figure.upper()}" for which, figure in shown]
    title = f"{counted(len(found.results[0].folds), 'fold')}, {counted(len(found.seeds), 'seed')}, %"
    table = _table(title, "seed", *(f"mean\n{name}" for name in columns), *(f"pooled\n{n}" for n in columns))
    for seed, result in zip(found.seeds, found.results, strict=True):
        means = [result.mean_and_sd(which, figure)[0] for which, figure in shown]
        pooled = [getattr(getattr(result, f"pooled_{which}"), figure) for which, figure in shown]
        table.add_row(str(seed), *map(points, (*means, *pooled)))
    table.add_section()
    means, pooled = ([of(*pair) for pair in shown] for of in (found.mean, found.pooled))
    table.add_row("mean", *map(points, (*means, *pooled)))
    Console().print(table)
    print_line("mean: of the folds; best: the epoch of each fold with the highest test WAR")
    result = found.results[0]
    print_estimate(found.estimate, result.pooled_last.clips, len(found.seeds))
    lines = {line_to_beat(each.pooled_baseline) for each in found.results if each.pooled_baseline}
    for line in sorted(lines):  # several where the seed draws the folds
        print_line(f"{line}, pooled")
    print_line(f"in {out}: crossval.csv, a cross-validation for each seed")
    ours = {
        f"ours, {which} epoch": (found.mean(which, "war"), found.mean(which, "uar"))
        for which in ("last", "best")
    }
    print_published(result.dataset, ours, result.not_comparable)


def print_compare(result: "CompareResult", out: Path) -> None:
    """Print accuracy and cost of each network, the differences from the first, and the published results."""
    found = result.comparison
    _print_figures_and_costs(found)
    batch = counted(result.networks[0].speeds[TRAINING].batch_size, "clip")
    table = _table(
        f"on this machine, batches of {batch}", "", "training,\nclips/s", "inference,\nclips/s", "memory"
    )
    for network in result.networks:
        training, inference = (network.speeds[task] for task in (TRAINING, INFERENCE))
        if training.failure or inference.failure:
            table.add_row(plain(network.name), training.failure or "", inference.failure or "")
            continue
        speeds = (f"{each.clips_per_second:.3g}" for each in (training, inference))
        table.add_row(plain(network.name), *speeds, f"{training.memory / 2**30:.2f} GiB")
    Console().print(table)
    for network in result.networks:
        if network.remark:
            print_line(f"{network.name}: {network.remark}")
    ours = {row.name: (row.war, row.uar) for row in found.rows}
    print_published(found.dataset, ours, result.not_comparable)
    print_line(f"in {out}: compare.html, compare.csv, compare.png, a folder for each network")


def _print_figures_and_costs(result: "Comparison") -> None:
    """Print each candidate's figures with intervals and its cost, then the differences from the first."""
    over = f", mean of {result.seeds} seeds" if result.seeds > 1 else ""
    title = f"{result.tested_on} pooled, last epoch{over}, % (95 % interval)"
    table = _table(title, "", "WAR", "UAR", "para-\nmeters", "multiply-\nadds", "clips/s")
    if result.baseline:
        table.add_row(ROW, *with_intervals(result.baseline.estimate))
    for row in result.rows:
        cost = row.cost
        table.add_row(
            plain(row.name),
            *with_intervals(row.estimate),
            f"{cost.parameters / 1e6:.2f} M",
            f"{cost.multiply_adds / 1e9:.3f} G",
            f"{cost.clips_per_second:.3g}",
        )
    Console().print(table)
    _print_differences(result)
    drawn = result.rows[0].estimate.intervals.drawn
    print_line(
        f"intervals: bootstrap over {drawn}; clips/s: in training, median of all epochs, depends on the load"
    )


def _print_differences(result: "Comparison") -> None:
    first, *others = result.rows
    differences = {row.name: row.difference for row in others if row.difference}
    if result.baseline:
        differences = {ROW: result.baseline.difference, **differences}
    if not differences:
        return
    title = f"minus {plain(first.name)}, on the same clips, points (95 % interval)"
    table = _table(title, "", "WAR", "UAR")
    for name, found in differences.items():
        table.add_row(plain(name), *(marked(found, figure) for figure in ("war", "uar")))
    Console().print(table)
    print_line("*: the interval of the difference excludes zero (paired bootstrap)")


def marked(found: Difference, figure: str) -> str:
    """A difference with its interval in points, and an asterisk if that excludes zero: "-2.4 (-4.1 to -0.6) *"."""
    share, low, high = (
        f"{100 * each:+.1f}" for each in (getattr(found, figure), *getattr(found.intervals, figure))
    )
    return f"{share} ({low} to {high}) {'*' if found.excludes_zero(figure) else ' '}"


def with_intervals(found: Estimate) -> list[str]:
    return [with_interval(getattr(found, name), getattr(found.intervals, name)) for name in ("war", "uar")]


def with_interval(value: float, bounds: tuple[float, float]) -> str:
    """A share with its interval in percent: "94.1 (90.2–97.0)"."""
    share, low, high = (f"{100 * each:.1f}" for each in (value, *bounds))
    return f"{share} ({low}–{high})"


def _table(title: str, first: str, *numbers: str) -> Table:
    """A table without vertical lines; a column of names, the others are numbers.

    What does not fit goes on in the next line, the longest cells first: a terminal has 80 columns.
    """
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(first, overflow="fold", min_width=12)
    for column in numbers:
        table.add_column(column, justify="right", overflow="fold")
    return table
