"""A bar chart as inline SVG, coloured by the page's CSS."""

import math

from dfer.pipeline.report.clip_statistics import Bins
from dfer.schemas.html.markup import Html, tag

# 360 is a phone's width, so the numbers stay readable there.
WIDTH, HEIGHT = 360, 190
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 10, 40
X_NUMBERS = 6  # at most, under the axis


def bar_chart(bins: Bins, *, title: str, unit: str, counted: str = "clips") -> Html:
    """Draw a histogram with numbers at both axes.

    title: for screen readers
    unit: shown under the x axis
    counted: what the bars count
    """
    plot_width, plot_height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    top = _round_top(max(bins.counts, default=0))
    width = plot_width / max(len(bins.counts), 1)
    bars = [
        tag(
            "rect",
            tag(
                "title",
                f"{number(bins.edge(i))} to {number(bins.edge(i + 1))} {unit}: {count} {counted}",
            ),
            x=f"{LEFT + i * width + 0.5:.2f}",
            y=f"{TOP + plot_height * (1 - count / top):.2f}",
            width=f"{max(width - 1, 0.5):.2f}",
            height=f"{plot_height * count / top:.2f}",
        )
        for i, count in enumerate(bins.counts)
    ]
    return tag(
        "svg",
        *_count_axis(top, plot_height),
        tag("g", *bars, class_="bars"),
        *_value_axis(bins, width),
        _label(LEFT + plot_width / 2, HEIGHT - 6, unit, "middle"),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        aria_label=f"{title}: {summary_text(bins, unit, counted)}",
        class_="chart",
    )


def summary_text(bins: Bins, unit: str, counted: str = "clips") -> str:
    """Sum up a distribution: number of values, median, middle 90 %."""
    if bins.median is None:
        return f"no {counted}"
    # A tenth of a bin is as fine as the drawing.
    digits = max(0, 1 - math.floor(math.log10(bins.step)))
    low, median, high = (number(round(value, digits)) for value in (bins.low, bins.median, bins.high))
    return f"{bins.total} {counted}, median {median}, middle 90 % from {low} to {high} {unit}"


def number(value: float) -> str:
    """Format a number for an axis: few digits, no exponent below a million."""
    if abs(value) >= 1e6:
        return f"{value:.3g}"
    written = f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return "0" if written == "-0" else written.replace("-", "−")


def _count_axis(top: int, plot_height: float) -> list[Html]:
    lines = []
    for count in (0, top // 2, top) if top > 1 else (0, top):
        y = TOP + plot_height * (1 - count / top)
        lines.append(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=f"{y:.2f}", y2=f"{y:.2f}", class_="grid"))
        lines.append(_label(LEFT - 5, y + 4, str(count), "end"))
    return lines


def _value_axis(bins: Bins, width: float) -> list[Html]:
    if not bins.counts:
        return []
    every = -(-len(bins.counts) // X_NUMBERS)
    # Multiples of `every`, so that 0 gets a number if it is in range.
    edges = [i for i in range(len(bins.counts) + 1) if (bins.first + i) % every == 0]
    y = HEIGHT - BOTTOM + 15
    return [_label(LEFT + edge * width, y, number(bins.edge(edge)), "middle") for edge in edges]


def _label(x: float, y: float, words: str, anchor: str) -> Html:
    return tag("text", words, x=f"{x:.2f}", y=f"{y:.2f}", text_anchor=anchor)


def _round_top(most: int) -> int:
    """The smallest round number that is not below the tallest bar; even, so that half of it is an integer."""
    power = 1
    while True:
        for factor in (1, 2, 4, 6, 8):
            if factor * power >= most:
                return factor * power
        power *= 10
