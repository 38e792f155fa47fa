"""Charts of runs, as PNG."""

import io
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from dfer.schemas.support.commands import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dfer.train.results.logs import EpochRow

LONGEST = 40  # characters of a name
# Of the learning curves. UAR is WAR where all classes have as many clips: dashes and a ring leave both to be seen.
LINES = {
    "train_loss": {"color": "#7a8794", "ls": "--"},
    "test_loss": {"color": "#08519c", "ls": "-"},
    "train_war": {"color": "#7a8794", "ls": "--"},
    "test_war": {"color": "#08519c", "ls": "-"},
    "test_uar": {"color": "#e08214", "ls": (0, (3, 3)), "ms": 11},
}


def confusion_png(matrix: np.ndarray, labels: Sequence[str], title: str) -> bytes:
    """A confusion matrix (classes, classes): shares of each true class, counts below them."""
    from matplotlib.figure import Figure

    counts = matrix.sum(1, keepdims=True)
    shares = np.divide(matrix, counts, out=np.zeros(matrix.shape), where=counts > 0)
    names = list(map(_plain, labels))
    # Inches. No wider than needed: in a page it is scaled down, and its letters with it; the title needs four.
    side = max(4.0, 0.9 + 0.08 * max(map(len, names)) + 0.52 * len(names))
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), share in np.ndenumerate(shares):
        if matrix[row, column]:
            text = f"{100 * share:.0f} %\n{matrix[row, column]}"
            colour = "white" if share > 0.6 else "black"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=9)
    axes.set_xticks(range(len(labels)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(labels)), names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    figure.suptitle(title.replace("$", r"\$"), fontsize=10)
    return _png(figure)


def sweep_png(
    names: Sequence[str],
    last: Sequence[float],
    best: Sequence[float],
    published: Mapping[str, Sequence[float]],
    *,
    title: str,
    axis: str,
    comparable: bool,
) -> bytes:
    """The WAR (0–1) of a sweep's variants by their names, after the last epoch, filled, and the best one, as rings,
    and what is published for them by dataset, hollow, NaN where nothing is. axis: what the variants differ in;
    comparable: whether the published figures may stand beside them."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.6 + max(5.0, 0.9 * len(names)), 4.2), layout="constrained")
    axes = figure.subplots()
    places = list(range(len(names)))
    numeric = all(name.replace(".", "", 1).isdecimal() for name in names)
    line, dashes = ("-", "--") if numeric else ("", "")  # only numbers have something between them
    whole = {"clip_on": False}  # a marker at 0 % lies on the frame
    # Often the best epoch is the last: a ring and dashes on top leave both to be seen.
    axes.plot(places, _percents(last), "o" + line, color="#08519c", label="this sweep, last epoch", **whole)
    ring = {"color": "#6baed6", "mfc": "none", "ms": 11, "mew": 1.5, "zorder": 3}
    axes.plot(places, _percents(best), "o" + dashes, label="this sweep, best epoch", **ring, **whole)
    for (dataset, shares), marker in zip(sorted(published.items()), "sD^v", strict=False):
        label = f"published, {dataset}{'' if comparable else ' (not comparable)'}"
        style = {"color": "#b35806", "mfc": "none", "label": label}
        axes.plot(places, _percents(shares), marker + dashes, **style, **whole)
    axes.set_xticks(places, list(map(_plain, names)))
    axes.set_xlabel(_plain(axis))
    axes.set_ylabel("WAR, %")
    axes.set_title(_plain(title), fontsize=10)
    axes.grid(axis="y", alpha=0.3)
    axes.margins(x=0.08, y=0.15)
    axes.set_ylim(bottom=max(0, axes.get_ylim()[0]))
    figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    return _png(figure)


def learning_curves_png(rows: Sequence["EpochRow"]) -> bytes:
    """Losses, and WAR and UAR in %, over the epochs, which are counted from 1; a line marks the best test WAR."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    from dfer.train.results.logs import best_row

    epochs, best = [row.epoch + 1 for row in rows], best_row(rows)
    mark = "o" if len(rows) < 3 else ""
    figure = Figure(figsize=(8.8, 3.4), layout="constrained")
    losses, shares = figure.subplots(1, 2)
    for axes, names, scale in (
        (losses, ("train_loss", "test_loss"), 1),
        (shares, ("train_war", "test_war", "test_uar"), 100),
    ):
        for name in names:
            kind, figure_name = name.split("_")
            label = f"{kind} {figure_name if figure_name == 'loss' else figure_name.upper()}"
            values = [scale * getattr(row, name) for row in rows]
            axes.plot(epochs, values, **LINES[name], marker=mark, mfc="none", clip_on=False, label=label)
        axes.axvline(
            best.epoch + 1, color="#2a7d3f", lw=1, ls=":", label=f"best test WAR, epoch {best.epoch + 1}"
        )
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8, frameon=False)
    losses.set_ylabel("loss")
    shares.set_ylabel("%")
    shares.set_ylim(0, 102)
    return _png(figure)


def clip_map_png(places: np.ndarray, truth: np.ndarray, right: np.ndarray, labels: Sequence[str]) -> bytes:
    """Clips on a plane: places (n, 2), truth (n,) numbers of labels, right (n,) whether they were told rightly."""
    import matplotlib
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.4, 4.8), layout="constrained")
    axes = figure.subplots()
    colours = matplotlib.colormaps["tab20" if len(labels) > 10 else "tab10"]
    size = float(np.clip(6000 / max(len(places), 1), 8, 60))
    for number, label in enumerate(labels):
        of_label = truth == number
        if not of_label.any():
            continue
        colour = [colours(number % colours.N)]
        told, missed = places[of_label & right], places[of_label & ~right]
        axes.scatter(*told.T, s=size, c=colour, alpha=0.8, lw=0, label=f"{_plain(label)} ({of_label.sum()})")
        axes.scatter(*missed.T, s=size, c=colour, marker="x", lw=1.2)
    axes.scatter([], [], s=40, c="k", marker="x", lw=1.2, label="predicted as another")
    axes.set_xticks([])
    axes.set_yticks([])
    figure.legend(loc="outside right upper", fontsize=9, frameon=False)
    return _png(figure)


def attention_png(attention: np.ndarray) -> bytes:
    """Shares of attention over the frames, in %: (blocks, N), a line a block."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(8.4, 3.4), layout="constrained")
    axes = figure.subplots()
    blocks, frames = attention.shape
    numbers = np.arange(1, frames + 1)
    for block, shares in enumerate(attention):
        depth = 0.25 + 0.75 * (block + 1) / blocks
        axes.plot(numbers, 100 * shares, "o-", ms=4, color="#08519c", alpha=depth, label=f"block {block + 1}")
    axes.axhline(100 / frames, color="#7a8794", lw=1, ls="--", label="all frames alike")
    axes.set_ylim(0, 110 * max(attention.max(), 1 / frames))
    axes.set_xlabel("frame")
    axes.set_ylabel("% of the attention to frames")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, frameon=False, ncols=2)
    return _png(figure)


def keypoint_weights_png(weights: np.ndarray, labels: Sequence[str], keypoints: Sequence[str]) -> bytes:
    """Mean W_a: (classes, K), NaN for a class without clips."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.4 + 0.5 * len(keypoints), 2.4 + 0.34 * len(labels)), layout="constrained")
    axes = figure.subplots()
    picture = axes.imshow(weights, cmap="viridis", aspect="auto")
    axes.set_xticks(range(len(keypoints)), [f"{k}  {name}" for k, name in enumerate(keypoints)])
    axes.tick_params("x", labelrotation=55, labelsize=8)
    for tick in axes.get_xticklabels():
        tick.set(ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(labels)), list(map(_plain, labels)))
    figure.colorbar(picture, ax=axes, label="mean W_a", fraction=0.03)
    return _png(figure)


def _percents(shares: Sequence[float]) -> list[float]:
    return [100 * share for share in shares]


def _plain(text: str) -> str:
    """A name as matplotlib writes it: a dollar sign is a letter, not the start of a formula; cut where it is long."""
    short = printable(text if len(text) <= LONGEST else f"{text[:LONGEST]}…")
    return short.replace("$", r"\$")


def _png(figure: "Figure") -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # a box stands in its place
        figure.savefig(content, format="png", dpi=130)
    return content.getvalue()
