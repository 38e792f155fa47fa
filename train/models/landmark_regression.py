"""Multinomial logistic regression on the features of clips (`data.landmark_features`)."""

from dataclasses import dataclass

import numpy as np

STRENGTH = 0.1  # scikit-learn's C, the inverse of the weight of the L2 penalty
ITERATIONS = 1000  # at most
SMALLEST_DEVIATION = 1e-6  # features that differ less between the training clips count as constant
ABSENT = -1e4  # score of a class without a training clip: its probability is 0, its logarithm finite


@dataclass(frozen=True, kw_only=True)
class LandmarkRegression:
    """A fitted regression: scores of the classes are `weights @ ((features − mean) / deviation) + bias`.

    mean, deviation: (F,) of the training clips
    weights: (classes, F)
    bias: (classes,)
    """

    mean: np.ndarray
    deviation: np.ndarray
    weights: np.ndarray
    bias: np.ndarray

    def log_probabilities(self, features: np.ndarray) -> np.ndarray:
        """Log probabilities (clips, classes) float64 of clips with these features (clips, F).

        An unknown feature (NaN) counts as the training clips' mean.
        """
        scores = _standardised(features, self.mean, self.deviation) @ self.weights.T + self.bias
        scores -= scores.max(1, keepdims=True)
        return scores - np.log(np.exp(scores).sum(1, keepdims=True))


def fit(
    features: np.ndarray, labels: np.ndarray, classes: int, strength: float = STRENGTH
) -> LandmarkRegression:
    """Fit a regression to training clips.

    features: (clips, F), NaN where unknown
    labels: (clips,) class numbers, 0…classes−1, of at least two classes
    classes: how many there are; those without a training clip are never predicted
    strength: scikit-learn's C

    The same input gives the same regression.
    """
    from sklearn.linear_model import LogisticRegression

    mean, deviation = moments(features)
    inputs = _standardised(features, mean, deviation)
    # In float32 it takes half as long and ends within 1e-3 of the same probabilities.
    model = LogisticRegression(C=strength, max_iter=ITERATIONS).fit(inputs.astype(np.float32), labels)
    weights, bias = np.zeros((classes, inputs.shape[1])), np.full(classes, ABSENT)
    own = model.classes_[-len(model.coef_) :]  # of two classes it has the weights of the second alone
    bias[model.classes_] = 0
    weights[own], bias[own] = model.coef_, model.intercept_
    return LandmarkRegression(mean=mean, deviation=deviation, weights=weights, bias=bias)


def moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of each feature over the clips where it is known, each (F,) float64."""
    known = ~np.isnan(features)
    counts = np.maximum(known.sum(0), 1)
    values = np.where(known, features, 0).astype(np.float64)
    mean = values.sum(0) / counts
    deviation = np.sqrt((np.where(known, values - mean, 0) ** 2).sum(0) / counts)
    return mean, np.where(deviation > SMALLEST_DEVIATION, deviation, 1)


def _standardised(features: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    values = (features - mean) / deviation
    values[np.isnan(values)] = 0
    return values
