import functools

import numpy as np
import pytest
import torch
from networks import build
from torch.nn import functional as F

from dfer.train.config import RecipeConfig
from dfer.train.engine.objective import objective
from dfer.train.models.interface import Scores
from dfer.train.models.keypoint.network import KeypointNetwork
from dfer.train.models.keypoint.settings import KeypointSettings

LABELS = np.array([0, 1, 1, 2, 2, 2])


@functools.cache
def network(classes: int = 4) -> KeypointNetwork:
    """The paper's, with λ = 0.2."""
    return build(KeypointSettings(depth=1), classes=classes, num_frames=2, seed=0)


def both(clip: torch.Tensor, frames: torch.Tensor) -> Scores:
    return Scores(clip, {"frames": frames})


@pytest.fixture
def scores():
    torch.manual_seed(0)
    return both(torch.randn(6, 4, dtype=torch.float64), torch.randn(6, 4, dtype=torch.float64))


def made(**settings):
    return objective(RecipeConfig(**settings), LABELS, network())


def test_the_loss_is_lambda_of_the_frames_cross_entropy_plus_the_rest_of_the_clips(scores):
    labels = torch.from_numpy(LABELS)
    by_hand = sum(
        0.2 * -scores.auxiliary["frames"][i].log_softmax(0)[k] + 0.8 * -scores.clip[i].log_softmax(0)[k]
        for i, k in enumerate(LABELS)
    )
    plain = made()
    assert plain.total(scores, labels).item() == pytest.approx(by_hand.item())
    assert plain.weight(LABELS) == 6


def test_without_a_temporal_part_there_is_one_cross_entropy(scores):
    without = build(KeypointSettings(temporal="mean"), classes=4, num_frames=2, seed=0)
    alone = objective(RecipeConfig(), LABELS, without)
    total = alone.total(Scores(scores.clip), torch.from_numpy(LABELS))
    assert total.item() == pytest.approx(F.cross_entropy(scores.clip, torch.from_numpy(LABELS)).item() * 6)


def test_inverse_class_weights_give_every_class_that_occurs_the_same_total():
    weighted = made(class_weights="inverse")
    assert weighted.class_weights.tolist() == pytest.approx([2, 1, 2 / 3, 0])
    assert weighted.weight(LABELS) == pytest.approx(6)


def test_clips_with_the_label_minus_one_are_ignored(scores):
    labels = torch.tensor([0, -1, 1, -1, 2, -1])
    kept = labels >= 0
    part = both(scores.clip[kept], scores.auxiliary["frames"][kept])
    smooth = made(label_smoothing=0.1)
    assert smooth.total(scores, labels).item() == pytest.approx(smooth.total(part, labels[kept]).item())


def test_label_smoothing_gives_every_class_a_share(scores):
    labels = torch.from_numpy(LABELS)
    soft = 0.9 * F.one_hot(labels, 4) + 0.1 / 4
    by_hand = -(
        soft * (0.2 * scores.auxiliary["frames"].log_softmax(1) + 0.8 * scores.clip.log_softmax(1))
    ).sum()
    assert made(label_smoothing=0.1).total(scores, labels).item() == pytest.approx(by_hand.item())


def test_mixup_counts_both_labels(scores):
    labels = torch.from_numpy(LABELS)
    plain = made()
    expected = 0.7 * plain.total(scores, labels) + 0.3 * plain.total(scores, labels.roll(1))
    assert plain.total(scores, labels, mix=0.7).item() == pytest.approx(expected.item())


# Of four classes: a majority, a tie of two, a clip that does not count, a clip without votes (all on its label).
SHARES = np.array([[0.7, 0.2, 0.1, 0], [0.4, 0.2, 0.4, 0], [0, 0, 0, 0], [0, 0, 0, 1]], np.float32)


def slow_loss(logits, shares, smoothing=0.0, weights=(1, 1, 1, 1)):
    """The sum over clips and classes, one at a time."""
    total = 0.0
    for scores, given in zip(logits, shares, strict=True):
        if not given.any():
            continue
        losses = [np.log(np.exp(scores).sum()) - score for score in scores]
        top = [weights[k] for k in range(4) if given[k] == given.max()]
        own = sum(top) / len(top) * sum(given[k] * losses[k] for k in range(4))
        total += (1 - smoothing) * own + smoothing * sum(weights[k] * losses[k] / 4 for k in range(4))
    return total


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("class_weights", ["none", "inverse", "effective"])
def test_the_loss_of_votes_equals_the_plain_sum_over_clips_and_classes(scores, smoothing, class_weights):
    made_of = RecipeConfig(label_smoothing=smoothing, class_weights=class_weights)
    soft = objective(made_of, SHARES, network())
    weights = (1, 1, 1, 1) if soft.class_weights is None else soft.class_weights
    part = both(scores.clip[:4], scores.auxiliary["frames"][:4])
    clip, frames = part.clip.numpy(), part.auxiliary["frames"].numpy()

    def slow(shares):
        return sum(
            share * slow_loss(logits, shares, smoothing, weights)
            for share, logits in ((0.8, clip), (0.2, frames))
        )

    assert soft.total(part, torch.from_numpy(SHARES)).item() == pytest.approx(slow(SHARES))
    mixed = 0.7 * slow(SHARES) + 0.3 * slow(np.roll(SHARES, 1, axis=0))
    assert soft.total(part, torch.from_numpy(SHARES), mix=0.7).item() == pytest.approx(mixed)
    counted = SHARES[[0, 1, 3]]
    divisor = weights[0] + (weights[0] + weights[2]) / 2 + weights[3]
    assert soft.weight(counted) == pytest.approx(divisor)


@pytest.mark.parametrize("class_weights", ["none", "inverse", "effective"])
def test_votes_that_agree_give_the_loss_of_the_labels(scores, class_weights):
    recipe = RecipeConfig(
        label_smoothing=0.1, class_weights=class_weights, logit_adjustment=0.5, adjusted="loss"
    )
    shares = np.eye(4, dtype=np.float32)[LABELS]
    hard, soft = objective(recipe, LABELS, network()), objective(recipe, shares, network())
    one, other = hard.total(scores, torch.from_numpy(LABELS)), soft.total(scores, torch.from_numpy(shares))
    assert one.item() == pytest.approx(other.item()) and hard.weight(LABELS) == pytest.approx(
        soft.weight(shares)
    )


def test_effective_class_weights_are_one_over_the_effective_number_of_clips():
    weights = made(class_weights="effective", effective_beta=0.9).class_weights
    plain = np.array([(1 - 0.9) / (1 - 0.9**count) for count in (1, 2, 3)])
    assert weights[:3] / weights[0] == pytest.approx(plain / plain[0]) and weights[3] == 0
    assert weights[LABELS].mean() == pytest.approx(1)
    near_none, near_inverse = (made(class_weights="effective", effective_beta=beta) for beta in (0, 0.999999))
    assert near_none.class_weights.tolist() == pytest.approx([1, 1, 1, 0])
    assert near_inverse.class_weights == pytest.approx(made(class_weights="inverse").class_weights, rel=1e-4)


def test_logit_adjustment_in_the_loss_adds_tau_log_prior_to_the_scores(scores):
    counts = np.array([1, 2, 3, 1])  # a class without clips counts as one clip
    shift = torch.from_numpy(2 * np.log(counts / 7))
    labels = torch.from_numpy(LABELS)
    expected = made().total(both(scores.clip + shift, scores.auxiliary["frames"] + shift), labels)
    adjusted = made(logit_adjustment=2, adjusted="loss")
    assert adjusted.total(scores, labels).item() == pytest.approx(expected.item())
    elsewhere = made(logit_adjustment=2, adjusted="predictions")
    assert elsewhere.total(scores, labels).item() == pytest.approx(made().total(scores, labels).item())


def test_clips_without_a_label_do_not_change_the_counts_of_the_classes():
    with_ties = objective(RecipeConfig(class_weights="inverse"), np.array([*LABELS, -1, -1]), network())
    assert with_ties.class_weights.tolist() == pytest.approx([2, 1, 2 / 3, 0])
