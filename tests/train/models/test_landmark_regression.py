"""The landmark regression against scikit-learn's own pipeline, and on what that cannot take."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dfer.train.models.landmark_regression import fit


@pytest.fixture
def clips():
    """Features (60, 12) and labels of three classes, which overlap; the last feature is constant."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 60)
    features = random.normal(3 * np.eye(3)[labels].repeat(4, 1), 2) * 5 + 7
    features[:, -1] = 0.1
    return features.astype(np.float32), labels


@pytest.mark.parametrize("classes", [3, 2])
def test_probabilities_are_those_of_scikit_learns_pipeline(clips, classes):
    features, labels = clips
    features, labels = features[labels < classes], labels[labels < classes]
    found = fit(features[10:], labels[10:], classes).log_probabilities(features[:10])
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1)).fit(features[10:], labels[10:])
    np.testing.assert_allclose(np.exp(found), model.predict_proba(features[:10]), atol=1e-4)


def test_the_same_clips_give_the_same_regression(clips):
    first, second = (fit(*clips, classes=3) for _ in range(2))
    assert all(np.array_equal(value, vars(second)[name]) for name, value in vars(first).items())


def test_a_class_without_a_training_clip_has_probability_zero_and_a_finite_logarithm(clips):
    features, labels = clips
    found = fit(features, np.array([0, 3, 4])[labels], classes=6).log_probabilities(features)
    own = fit(features, labels, classes=3).log_probabilities(features)
    np.testing.assert_allclose(found[:, [0, 3, 4]], own)
    assert np.isfinite(found).all() and (np.exp(found[:, [1, 2, 5]]) == 0).all()
    two = fit(features[labels < 2], np.array([1, 3])[labels[labels < 2]], classes=4)
    shares = np.exp(two.log_probabilities(features))
    assert (shares[:, [0, 2]] == 0).all() and shares.argmax(1)[labels < 2].tolist().count(3) > 5
    np.testing.assert_allclose(shares.sum(1), 1)


def test_a_class_with_a_single_clip_can_be_predicted(clips):
    features, labels = clips
    features = np.concatenate([features, np.full((1, 12), 60, np.float32)])
    found = fit(features, np.append(labels, 3), classes=4).log_probabilities(features)
    assert found[-1].argmax() == 3 and np.isfinite(found).all()


def test_a_constant_feature_changes_nothing_even_where_it_differs_later(clips):
    features, labels = clips
    without = fit(features[:, :-1], labels, classes=3).log_probabilities(features[:, :-1])
    regression = fit(features, labels, classes=3)
    other = features.copy()
    other[:, -1] = 0.9
    for given in (features, other):
        np.testing.assert_allclose(regression.log_probabilities(given), without, atol=1e-3)


def test_an_unknown_feature_counts_as_the_training_clips_mean(clips):
    features, labels = clips
    regression = fit(features, labels, classes=3)
    unknown, mean = features.copy(), features.astype(float)
    unknown[:, 3], mean[:, 3] = np.nan, features[:, 3].mean(dtype=float)
    np.testing.assert_allclose(regression.log_probabilities(unknown), regression.log_probabilities(mean))
    partly = features.copy()
    partly[::2, 3] = np.nan
    mean = features.astype(float)
    mean[::2, 3] = features[1::2, 3].mean(dtype=float)
    np.testing.assert_allclose(fit(partly, labels, classes=3).mean, mean.mean(0))
    partly[:, 3] = np.nan
    assert np.isfinite(fit(partly, labels, classes=3).log_probabilities(features)).all()
