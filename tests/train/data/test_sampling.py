from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from dfer.train.data.sampling import (
    Augmentation,
    balanced_order,
    epoch_order,
    evaluation_view,
    frame_positions,
    mixing_weight,
    parts_of,
    shares,
    step_seed,
    steps,
)


@pytest.mark.parametrize(("kept", "wanted"), [(32, 16), (16, 16), (5, 16), (1, 8), (31, 7)])
def test_evaluation_takes_the_middle_of_each_share(kept, wanted):
    expected = [int((k + Fraction(1, 2)) * kept / wanted) for k in range(wanted)]
    assert frame_positions(kept, evaluation_view(wanted).offsets).tolist() == expected


def test_further_evaluation_views_mirror_the_usual_one_and_halve_the_gaps_between_earlier_samples():
    views = [evaluation_view(4, number) for number in range(10)]
    assert [view.flip for view in views] == [False, True] * 5
    assert [float(view.offsets[0]) for view in views[::2]] == [1 / 2, 1 / 4, 3 / 4, 1 / 8, 5 / 8]
    assert all(len(set(view.offsets)) == 1 and view.window == (0.5, 0.5) for view in views)
    assert all((a.offsets == b.offsets).all() for a, b in zip(views[::2], views[1::2], strict=True))
    assert (views[0].offsets == evaluation_view(4).offsets).all()
    positions = [frame_positions(32, view.offsets).tolist() for view in views[::2]]
    assert positions[:3] == [[4, 12, 20, 28], [2, 10, 18, 26], [6, 14, 22, 30]]
    for kept in (1, 2, 3):  # fewer frames than are asked for
        for number in range(64):
            short = frame_positions(kept, evaluation_view(4, number).offsets)
            assert short[0] == 0 and short[-1] == kept - 1 and (np.diff(short) >= 0).all()


@pytest.mark.parametrize(("kept", "wanted"), [(32, 16), (5, 16), (40, 7)])
def test_training_takes_one_frame_of_each_share_in_order(kept, wanted):
    augmentation = Augmentation(seed=0, frames=wanted, flip=True)
    for sample in range(200):
        positions = frame_positions(kept, augmentation.view(0, sample).offsets)
        low = np.floor(np.arange(wanted) * kept / wanted)
        high = np.ceil((np.arange(wanted) + 1) * kept / wanted)
        assert (positions >= low).all() and (positions < high).all()
        assert (np.diff(positions) >= 0).all()


def test_an_offset_of_almost_one_stays_inside_the_clip():
    assert frame_positions(32, np.full(16, np.nextafter(1, 0))).max() == 31


def test_an_epochs_order_is_a_permutation_that_depends_on_seed_and_epoch():
    orders = [tuple(epoch_order(50, *key)) for key in ((0, 0), (0, 0), (0, 1), (1, 0))]
    assert orders[0] == orders[1] and len(set(orders)) == 3
    assert sorted(orders[0]) == list(range(50))


def test_a_view_depends_on_seed_epoch_and_sample():
    def key(seed, epoch, sample):
        view = Augmentation(seed=seed, frames=8, flip=True, color_jitter=0.4).view(epoch, sample)
        return (*view.offsets, *view.window, view.flip, *view.color_jitter)

    assert key(0, 0, 0) == key(0, 0, 0)
    assert len({key(seed, epoch, n) for seed in (0, 1) for epoch in (0, 1) for n in (0, 1)}) == 8


def test_half_of_the_clips_are_mirrored_unless_flip_is_off():
    flips, others = (Augmentation(seed=0, frames=2, flip=flip) for flip in (True, False))
    assert 0.45 < np.mean([flips.view(0, sample).flip for sample in range(2000)]) < 0.55
    assert not any(others.view(0, sample).flip for sample in range(50))


def test_colour_factors_stay_within_their_limit_and_are_one_when_it_is_zero():
    strong, none = (Augmentation(seed=0, frames=2, flip=True, color_jitter=limit) for limit in (0.4, 0.0))
    colours = np.array([strong.view(0, sample).color_jitter for sample in range(500)])
    assert colours.min() >= 0.6 and colours.max() <= 1.4 and (colours.std(0) > 0.2).all()
    assert none.view(0, 7).color_jitter == (1, 1, 1)


def test_a_balanced_epoch_has_all_classes_equally_often_and_repeats_a_clip_only_after_all_others_of_its_class():
    labels = np.array([0] * 70 + [1] * 25 + [3] * 5)
    order = balanced_order(labels, 0, 0)
    assert len(order) == 100 and sorted(np.bincount(labels[order]).tolist()) == [0, 33, 33, 34]
    for number, clips in ((0, 70), (1, 25), (3, 5)):
        times = np.bincount(order, minlength=100)[labels == number]
        assert len(times) == clips and times.max() - times.min() <= 1
    assert not np.array_equal(order, balanced_order(labels, 0, 1))
    assert np.array_equal(order, balanced_order(labels, 0, 0))


@pytest.mark.parametrize("parts", [1, 2, 3, 8])
def test_the_parts_of_a_step_are_its_samples_in_order(parts):
    for step in steps(21, 8):
        split = shares(step, parts)
        assert [sample for share in split for sample in share] == list(step)
        lengths = [len(share) for share in split]
        assert len(split) == parts and max(lengths) - min(lengths) <= 1 and lengths[0] == max(lengths)


@pytest.mark.parametrize("processes", [1, 2, 3, 5])
@pytest.mark.parametrize("accumulate", [1, 2, 4])
def test_processes_share_a_step_in_order_and_in_equally_many_parts(processes, accumulate):
    for step in steps(21, 8):  # the last one has five samples
        of_ranks = [parts_of(step, rank, processes, accumulate) for rank in range(processes)]
        assert [sample for parts in of_ranks for part in parts for sample in part] == list(step)
        assert len({len(parts) for parts in of_ranks}) == 1 and 1 <= len(of_ranks[0]) <= accumulate
        assert all(of_ranks[0])  # a part without a clip would change the batch norm that is kept
    alone = [len(part) for part in parts_of(range(8), 0, 1, processes * accumulate)]
    together = [
        len(part) for rank in range(processes) for part in parts_of(range(8), rank, processes, accumulate)
    ]
    assert [size for size in together if size] == alone  # accumulating in one process is the same


def test_steps_from_a_later_sample_are_the_last_ones_of_the_epoch():
    assert [list(step) for step in steps(7, 3)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(steps(7, 3, 3)) == list(steps(7, 3))[1:] and list(steps(7, 3, 7)) == []


def test_mixing_weights_follow_the_beta_distribution_and_depend_on_the_step():
    weights = [mixing_weight(0.2, 0, epoch, first) for epoch in range(40) for first in range(0, 3200, 64)]
    assert len(set(weights)) > 1990 and weights[0] == mixing_weight(0.2, 0, 0, 0)
    beta = stats.beta(0.2, 0.2)
    # The larger of X and 1 − X is at most w where X lies between 1 − w and w.
    assert stats.kstest(weights, lambda w: beta.cdf(w) - beta.cdf(1 - w)).pvalue > 0.01
    assert min(weights) >= 0.5


def test_clips_without_a_class_are_drawn_once_in_a_balanced_epoch():
    labels = np.array([0, 0, 0, 0, 0, 1, -1, -1, -1])
    order = balanced_order(labels, seed=0, epoch=1)
    assert np.bincount(labels[order] + 1).tolist() == [3, 3, 3]
    assert {6, 7, 8} <= {*order.tolist()}


def test_every_step_of_every_process_has_its_own_seed():
    places = [
        (seed, epoch, sample, rank)
        for seed in (0, 1)
        for epoch in (0, 1)
        for sample in (0, 8)
        for rank in (0, 1)
    ]
    assert len({step_seed(*place) for place in places}) == len(places)
    assert step_seed(0, 1, 8, 0) == step_seed(0, 1, 8, 0)
