import numpy as np
import pytest
import torch
from torch.nn import functional as F

from dfer.train.config import RecipeConfig
from dfer.train.engine.objective import objective
from dfer.train.models.keypoint.network import Scores

LABELS = np.array([0, 1, 1, 2, 2, 2])


@pytest.fixture
def scores():
    torch.manual_seed(0)
    return Scores(torch.randn(6, 4, dtype=torch.float64), torch.randn(6, 4, dtype=torch.float64))


def made(**settings):
    return objective(RecipeConfig(**settings), LABELS, 4)


def test_the_loss_is_lambda_of_the_frames_cross_entropy_plus_the_rest_of_the_clips(scores):
    labels = torch.from_numpy(LABELS)
    by_hand = sum(
        0.2 * -scores.frames[i].log_softmax(0)[k] + 0.8 * -scores.clip[i].log_softmax(0)[k]
        for i, k in enumerate(LABELS)
    )
    plain = made()
    assert plain.total(scores, labels).item() == pytest.approx(by_hand.item())
    assert plain.weight(LABELS) == 6


def test_without_a_temporal_part_there_is_one_cross_entropy(scores):
    total = made().total(Scores(scores.clip, None), torch.from_numpy(LABELS))
    assert total.item() == pytest.approx(F.cross_entropy(scores.clip, torch.from_numpy(LABELS)).item() * 6)


def test_inverse_class_weights_give_every_class_that_occurs_the_same_total():
    weighted = made(class_weights="inverse")
    assert weighted.class_weights.tolist() == pytest.approx([2, 1, 2 / 3, 0])
    assert weighted.weight(LABELS) == pytest.approx(6)


def test_clips_with_the_label_minus_one_are_ignored(scores):
    labels = torch.tensor([0, -1, 1, -1, 2, -1])
    kept = labels >= 0
    part = Scores(scores.clip[kept], scores.frames[kept])
    smooth = made(label_smoothing=0.1)
    assert smooth.total(scores, labels).item() == pytest.approx(smooth.total(part, labels[kept]).item())


def test_label_smoothing_gives_every_class_a_share(scores):
    labels = torch.from_numpy(LABELS)
    soft = 0.9 * F.one_hot(labels, 4) + 0.1 / 4
    by_hand = -(soft * (0.2 * scores.frames.log_softmax(1) + 0.8 * scores.clip.log_softmax(1))).sum()
    assert made(label_smoothing=0.1).total(scores, labels).item() == pytest.approx(by_hand.item())


def test_mixup_counts_both_labels(scores):
    labels = torch.from_numpy(LABELS)
    plain = made()
    expected = 0.7 * plain.total(scores, labels) + 0.3 * plain.total(scores, labels.roll(1))
    assert plain.total(scores, labels, mix=0.7).item() == pytest.approx(expected.item())
