"""Pictures of a run, as PNG."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from schemas.files import atomic_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from train.sweep import Row


def confusion_png(path: Path, matrix: np.ndarray, labels: Sequence[str], title: str) -> None:
    """Draw a confusion matrix (classes, classes): shares of each true class, counts below them."""
    from matplotlib.figure import Figure

    counts = matrix.sum(1, keepdims=True)
    shares = np.divide(matrix, counts, out=np.zeros(matrix.shape), where=counts > 0)
    side = 2.2 + 0.75 * len(labels)
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), share in np.ndenumerate(shares):
        if matrix[row, column]:
            text = f"{100 * share:.0f} %\n{matrix[row, column]}"
            colour = "white" if share > 0.6 else "black"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
    names = list(map(_plain, labels))
    axes.set_xticks(range(len(labels)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(labels)), names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(title, fontsize=10)
    _save(figure, path)


def sweep_png(path: Path, rows: Sequence["Row"], title: str, axis: str) -> None:
    """Draw the WAR of a sweep's variants, ours filled and the published ones hollow, in % over the variants."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.6 + max(5.0, 0.9 * len(rows)), 4.2), layout="constrained")
    axes = figure.subplots()
    places = list(range(len(rows)))
    numeric = all(row.variant.name.replace(".", "", 1).isdecimal() for row in rows)
    line = "-" if numeric else ""  # only numbers have something between them
    best, last = ([100 * getattr(row, name) for row in rows] for name in ("best_war", "war"))
    axes.plot(places, best, "o" + line, color="#9ecae1", label="this sweep, best epoch")
    axes.plot(places, last, "o" + line, color="#08519c", label="this sweep, last epoch")
    datasets = sorted({dataset for row in rows for dataset in row.published})
    for dataset, marker in zip(datasets, "sD^v", strict=False):
        values = [100 * row.published.get(dataset, float("nan")) for row in rows]
        line = "--" if numeric else ""
        axes.plot(places, values, marker + line, color="#b35806", mfc="none", label=f"published, {dataset}")
    axes.set_xticks(places, [_plain(row.variant.name) for row in rows])
    axes.set_xlabel(_plain(axis))
    axes.set_ylabel("WAR, %")
    axes.set_title(_plain(title), fontsize=10)
    axes.grid(axis="y", alpha=0.3)
    axes.margins(x=0.08, y=0.15)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    _save(figure, path)


def _plain(text: str) -> str:
    """A dollar sign in a name is a letter, not the start of a formula."""
    return text.replace("$", r"\$")


def _save(figure: "Figure", path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    with atomic_file(path) as file:
        figure.savefig(file, format="png", dpi=130)
