"""Plots of results, as PNG."""

import io
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from dfer.schemas.support.commands import printable
from dfer.train.results.run_folder import SWEEP

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dfer.train.results.logs import EpochRow

LONGEST_NAME = 40  # characters
WIDTH = 5.0  # inches; a phone scales a wide picture down, text included
# UAR equals WAR if all classes have the same number of clips: with dashes and rings both stay visible.
CURVES = {
    "train_loss": {"color": "#7a8794", "ls": "--"},
    "test_loss": {"color": "#08519c", "ls": "-"},
    "train_war": {"color": "#7a8794", "ls": "--"},
    "test_war": {"color": "#08519c", "ls": "-"},
    "test_uar": {"color": "#e08214", "ls": (0, (3, 3)), "ms": 11},
}
BASELINE_LINE = {"color": "#6a3d9a", "lw": 1, "ls": "-.", "label": "landmark baseline, WAR"}


def confusion_png(matrix: np.ndarray, labels: Sequence[str], title: str) -> bytes:
    """Plot a confusion matrix; each cell shows its share of the true class and its count.

    matrix: (classes, classes) counts, rows are the true class
    labels: of the classes
    title: above the plot
    """
    from matplotlib.figure import Figure

    counts = matrix.sum(1, keepdims=True)
    shares = np.divide(matrix, counts, out=np.zeros(matrix.shape), where=counts > 0)
    names = list(map(plain_text, labels))
    # Inches. A page scales wide pictures down, text included, so keep it narrow; the title needs four inches.
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
    return png(figure)


def sweep_png(
    names: Sequence[str],
    last: Sequence[float],
    best: Sequence[float],
    intervals: Sequence[tuple[float, float]],
    published: Mapping[str, Sequence[float]],
    *,
    title: str,
    axis: str,
    comparable: bool,
    tested_on: str,
    baseline: float | None = None,
) -> bytes:
    """Plot the WAR of a sweep's variants.

    names: of the variants
    last, best: WAR of each variant after the last and the best epoch, 0–1
    intervals: 95 % interval of each WAR after the last epoch, 0–1
    published: dataset → published WAR of each variant, 0–1, NaN if there is none
    title, axis: of the plot; `axis` is what the variants differ in
    comparable: whether the published results are comparable with ours
    tested_on: which clips the WAR is of
    baseline: WAR of the landmark baseline, 0–1, drawn as a horizontal line; None: there is none
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.6 + max(5.0, 0.9 * len(names)), 4.2), layout="constrained")
    axes = figure.subplots()
    positions = list(range(len(names)))
    numeric = all(name.replace(".", "", 1).isdecimal() for name in names)
    line, dashes = ("-", "--") if numeric else ("", "")  # connect points only along a numeric axis
    unclipped = {"clip_on": False}  # a marker at 0 % is on the frame
    # The best epoch is often the last: with rings and dashes both stay visible.
    axes.plot(
        positions, _percents(last), "o" + line, color="#08519c", label="this sweep, last epoch", **unclipped
    )
    low, high = zip(*intervals, strict=True)
    bars = {"color": "#08519c", "lw": 1, "label": "95 % interval, last epoch"}
    axes.vlines(positions, _percents(low), _percents(high), **bars, **unclipped)
    ring = {"color": "#6baed6", "mfc": "none", "ms": 11, "mew": 1.5, "zorder": 3}
    axes.plot(positions, _percents(best), "o" + dashes, label="this sweep, best epoch", **ring, **unclipped)
    if baseline is not None:
        axes.axhline(100 * baseline, **BASELINE_LINE)
    for (dataset, shares), marker in zip(sorted(published.items()), "sD^v", strict=False):
        label = f"published, {dataset} ({'' if comparable else 'not comparable, '}remarks in {SWEEP})"
        style = {"color": "#b35806", "mfc": "none", "label": label}
        axes.plot(positions, _percents(shares), marker + dashes, **style, **unclipped)
    turned = {"rotation": 30, "ha": "right"} if max(map(len, names)) > 8 else {}  # they would overlap
    axes.set_xticks(positions, list(map(plain_text, names)), **turned)
    axes.set_xlabel(plain_text(axis))
    axes.set_ylabel(f"WAR of the {tested_on}, %")
    axes.set_title(plain_text(title), fontsize=10)
    axes.grid(axis="y", alpha=0.3)
    axes.margins(x=0.08, y=0.15)
    axes.set_ylim(bottom=max(0, axes.get_ylim()[0]))
    figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    return png(figure)


def learning_curves_pngs(
    rows: Sequence["EpochRow"], baseline_war: float | None = None
) -> tuple[bytes, bytes]:
    """Plot the losses, and WAR and UAR, over the epochs; a line marks the best test WAR.

    baseline_war: WAR of the landmark baseline, 0–1, drawn as a horizontal line; None: there is none
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    from dfer.train.results.logs import best_row

    epochs, best = [row.epoch + 1 for row in rows], best_row(rows)
    mark = "o" if len(rows) < 3 else ""
    pictures = []
    for names, scale, unit in (
        (("train_loss", "test_loss"), 1, "loss"),
        (("train_war", "test_war", "test_uar"), 100, "%"),
    ):
        figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
        axes = figure.subplots()
        for name in names:
            kind, figure_name = name.split("_")
            label = f"{kind} {figure_name if figure_name == 'loss' else figure_name.upper()}"
            values = [scale * getattr(row, name) for row in rows]
            axes.plot(epochs, values, **CURVES[name], marker=mark, mfc="none", clip_on=False, label=label)
        if scale == 100 and baseline_war is not None:
            axes.axhline(100 * baseline_war, **BASELINE_LINE)
        axes.axvline(
            best.epoch + 1, color="#2a7d3f", lw=1, ls=":", label=f"best test WAR, epoch {best.epoch + 1}"
        )
        axes.set_xlabel("epoch")
        axes.set_ylabel(unit)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8, frameon=False)
        if scale == 100:
            axes.set_ylim(0, 102)
        pictures.append(png(figure))
    return pictures[0], pictures[1]


def clip_map_png(points: np.ndarray, truth: np.ndarray, correct: np.ndarray, labels: Sequence[str]) -> bytes:
    """Plot clips as points of a plane.

    points: (n, 2)
    truth: (n,) true classes, indices of `labels`
    correct: (n,) bool, whether the clip is classified correctly
    """
    import matplotlib
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, WIDTH), layout="constrained")
    axes = figure.subplots()
    colours = matplotlib.colormaps["tab20" if len(labels) > 10 else "tab10"]
    size = float(np.clip(6000 / max(len(points), 1), 8, 60))
    for number, label in enumerate(labels):
        of_label = truth == number
        if not of_label.any():
            continue
        colour = [colours(number % colours.N)]
        hits, misses = points[of_label & correct], points[of_label & ~correct]
        axes.scatter(
            *hits.T, s=size, c=colour, alpha=0.8, lw=0, label=f"{plain_text(label)} ({of_label.sum()})"
        )
        axes.scatter(*misses.T, s=size, c=colour, marker="x", lw=1.2)
    axes.scatter([], [], s=40, c="k", marker="x", lw=1.2, label="misclassified")
    axes.set_xticks([])
    axes.set_yticks([])
    figure.legend(loc="outside lower center", ncols=2, fontsize=9, frameon=False)
    return png(figure)


def attention_png(attention: np.ndarray) -> bytes:
    """Plot how attention is distributed over the frames: (blocks, N) shares, 0–1, one line per block."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    axes = figure.subplots()
    blocks, frames = attention.shape
    numbers = np.arange(1, frames + 1)
    for block, shares in enumerate(attention):
        depth = 0.25 + 0.75 * (block + 1) / blocks
        axes.plot(numbers, 100 * shares, "o-", ms=4, color="#08519c", alpha=depth, label=f"block {block + 1}")
    axes.axhline(100 / frames, color="#7a8794", lw=1, ls="--", label="uniform")
    axes.set_ylim(0, 110 * max(attention.max(), 1 / frames))
    axes.set_xlabel("frame")
    axes.set_ylabel("share of attention, %")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, frameon=False, ncols=2)
    return png(figure)


def keypoint_weights_png(weights: np.ndarray, labels: Sequence[str], keypoints: Sequence[str]) -> bytes:
    """Plot the mean W_a of each key-point by class.

    weights: (classes, K), NaN for a class without clips
    labels: of the classes
    keypoints: names of the K key-points
    """
    from matplotlib.figure import Figure

    width = max(WIDTH, 2.6 + 0.34 * len(labels))
    figure = Figure(figsize=(width, 2 + 0.26 * len(keypoints)), layout="constrained")
    axes = figure.subplots()
    picture = axes.imshow(weights.T, cmap="viridis", aspect="auto")
    axes.set_xticks(range(len(labels)), list(map(plain_text, labels)), rotation=45, ha="right")
    axes.set_yticks(range(len(keypoints)), [f"{name}  {k}" for k, name in enumerate(keypoints)], fontsize=9)
    figure.colorbar(picture, ax=axes, label="mean W_a", fraction=0.05)
    return png(figure)


def _percents(shares: Sequence[float]) -> list[float]:
    return [100 * share for share in shares]


def plain_text(text: str) -> str:
    """Escape a name for matplotlib, which reads a dollar sign as the start of a formula, and cut it if it is long."""
    short = printable(text if len(text) <= LONGEST_NAME else f"{text[:LONGEST_NAME]}…")
    return short.replace("$", r"\$")


def png(figure: "Figure") -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # it draws a box instead
        figure.savefig(content, format="png", dpi=130)
    return content.getvalue()
