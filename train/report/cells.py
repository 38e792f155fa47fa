"""What tables and lines on the terminal are made of."""

from rich.console import Console
from rich.markup import escape

from dfer.schemas.support.commands import printable
from dfer.schemas.support.text import counted
from dfer.train.results.bootstrap import Estimate
from dfer.train.results.metrics import percent


def print_line(text: str) -> None:
    """Print a line that may quote a file: unwrapped, without markup, control characters escaped."""
    Console().print(printable(text), soft_wrap=True, markup=False, highlight=False)


def interval(bounds: tuple[float, float]) -> str:
    """The ends of an interval of shares, in percent."""
    return " – ".join(map(percent, bounds))


def plain(value: str) -> str:
    """Text from a file for a table: neither markup nor control characters."""
    return escape(printable(value))


def print_estimate(found: Estimate, clips: int, seeds: int = 1) -> None:
    """Print WAR and UAR of all clips pooled, with their intervals."""
    over = f", mean of {seeds} seeds" if seeds > 1 else ""
    bounds = found.intervals
    print_line(
        f"{counted(clips, 'clip')} pooled, last epoch{over}: WAR {percent(found.war)} ({interval(bounds.war)}), "
        f"UAR {percent(found.uar)} ({interval(bounds.uar)}); 95 % intervals, bootstrap over {bounds.drawn}"
    )
