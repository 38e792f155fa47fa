import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, recall_score

from dfer.train.results import metrics


@pytest.mark.parametrize("seed", range(5))
def test_figures_equal_those_of_scikit_learn(seed):
    random = np.random.default_rng(seed)
    truth, predicted = random.integers(0, 6, (2, 200))  # the seventh class has no clips
    predicted[:5] = 6
    matrix = metrics.confusion(truth, predicted, 7)
    np.testing.assert_array_equal(matrix, confusion_matrix(truth, predicted, labels=range(7)))
    assert metrics.war(matrix) == pytest.approx(accuracy_score(truth, predicted))
    recalls = recall_score(truth, predicted, labels=np.unique(truth), average=None)
    assert metrics.uar(matrix) == pytest.approx(recalls.mean())
    np.testing.assert_allclose(metrics.recalls(matrix)[:6], recalls)
    assert np.isnan(metrics.recalls(matrix)[6])


def test_figures_without_clips_are_nan():
    matrix = metrics.confusion(np.array([], int), np.array([], int), 3)
    assert np.isnan(metrics.war(matrix)) and np.isnan(metrics.uar(matrix))
