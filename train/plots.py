"""Pictures of a run, as PNG."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from schemas.files import atomic_file


def confusion_png(path: Path, matrix: np.ndarray, labels: Sequence[str], title: str) -> None:
    """Draw a confusion matrix (classes, classes): shares of each true class, counts below them."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
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
    # A dollar sign in a label is a letter, not the start of a formula.
    names = [label.replace("$", r"\$") for label in labels]
    axes.set_xticks(range(len(labels)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(labels)), names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(title, fontsize=10)
    FigureCanvasAgg(figure)
    with atomic_file(path) as file:
        figure.savefig(file, format="png", dpi=130)
