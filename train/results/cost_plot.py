"""The plot of accuracy against cost, as PNG."""

import math
from collections.abc import Sequence

from dfer.train.results.plots import BASELINE_LINE, WIDTH, plain_text, png


def cost_png(
    names: Sequence[str],
    costs: Sequence[float],
    shares: Sequence[float],
    intervals: Sequence[tuple[float, float]],
    *,
    tested_on: str,
    baseline: float | None,
) -> bytes:
    """Plot accuracy against cost, a point for each network.

    names: of the networks
    costs: multiply-adds per clip
    shares, intervals: their WAR and its 95 % intervals, 0–1
    tested_on: which clips the WAR is of
    baseline: WAR of the landmark baseline, 0–1, drawn as a horizontal line; None: there is none
    """
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, NullFormatter

    figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
    axes, colours = figure.subplots(), matplotlib.colormaps["tab20" if len(names) > 10 else "tab10"]
    for number, (name, cost, share, bounds) in enumerate(zip(names, costs, shares, intervals, strict=True)):
        style = {"color": colours(number % colours.N), "lw": 1}
        axes.vlines(cost / 1e9, *(100 * bound for bound in bounds), **style)
        label = f"{number + 1} {plain_text(name)}"
        axes.plot(cost / 1e9, 100 * share, "os^Dv"[number % 5], label=label, **style)
        beside = {"xytext": (5, 4), "textcoords": "offset points", "fontsize": 8}
        axes.annotate(str(number + 1), (cost / 1e9, 100 * share), **beside)
    if baseline is not None:
        axes.axhline(100 * baseline, **BASELINE_LINE)
    axes.set_xscale("log")
    ticks = log_ticks(min(costs) / 1e9, max(costs) / 1e9)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("multiply-adds per clip, billions (logarithmic scale)")
    axes.set_ylabel(f"WAR of the {tested_on}, % (95 % interval)")
    axes.grid(alpha=0.3)
    axes.margins(y=0.1)
    axes.set_xlim(ticks[0] / 1.05, ticks[-1] * 1.05)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    return png(figure)


def log_ticks(low: float, high: float) -> list[float]:
    """Round numbers from at most `low` to at least `high`, for a logarithmic axis; few enough not to overlap."""
    decades = math.log10(high / low)
    digits = (1, 2, 3, 5, 7) if decades < 1 else (1, 3) if decades < 2.5 else (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [digit * 10.0**power for power in powers for digit in digits]
    first, last = max(t for t in ticks if t <= low), min(t for t in ticks if t >= high)
    return [t for t in ticks if first <= t <= last]
