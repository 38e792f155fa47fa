"""WAR, UAR and the confusion matrix, as the field defines them."""

import numpy as np


def confusion(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Confusion matrix: (classes, classes) int64 counts, rows are the true class.

    truth, predicted: (n,) int, 0…classes−1
    """
    flat = np.bincount(truth * classes + predicted, minlength=classes * classes)
    return flat.reshape(classes, classes)


def war(matrix: np.ndarray) -> float:
    """Weighted average recall, which is accuracy, 0–1; NaN without clips."""
    total = matrix.sum()
    return float(np.trace(matrix) / total) if total else float("nan")


def uar(matrix: np.ndarray) -> float:
    """Unweighted average recall: mean recall of the classes that occur, 0–1; NaN without clips."""
    recall = recalls(matrix)
    known = recall[~np.isnan(recall)]
    return float(known.mean()) if len(known) else float("nan")


def recalls(matrix: np.ndarray) -> np.ndarray:
    """Recall of each class: (classes,), 0–1, NaN for a class without clips."""
    counts = matrix.sum(1)
    return np.divide(np.diag(matrix), counts, out=np.full(len(matrix), np.nan), where=counts > 0)


def points(share: float, digits: int = 2) -> str:
    """A share in percent without the sign; a dash for NaN. digits: after the point"""
    return "–" if share != share else f"{100 * share:.{digits}f}"


def percent(share: float) -> str:
    """Format a share as "12.34 %"; a dash for NaN."""
    return "–" if share != share else f"{points(share)} %"
