from fractions import Fraction

import numpy as np
import pytest

from train.sampling import epoch_order, evaluation_view, frame_positions, training_view


@pytest.mark.parametrize(("kept", "wanted"), [(32, 16), (16, 16), (5, 16), (1, 8), (31, 7)])
def test_evaluation_takes_the_middle_of_each_share(kept, wanted):
    expected = [int((k + Fraction(1, 2)) * kept / wanted) for k in range(wanted)]
    assert frame_positions(kept, evaluation_view(wanted).offsets).tolist() == expected


@pytest.mark.parametrize(("kept", "wanted"), [(32, 16), (5, 16), (40, 7)])
def test_training_takes_one_frame_of_each_share_in_order(kept, wanted):
    for clip in range(200):
        positions = frame_positions(kept, training_view(wanted, True, 0, 0, clip).offsets)
        low = np.floor(np.arange(wanted) * kept / wanted)
        high = np.ceil((np.arange(wanted) + 1) * kept / wanted)
        assert (positions >= low).all() and (positions < high).all()
        assert (np.diff(positions) >= 0).all()


def test_an_offset_of_almost_one_stays_inside_the_clip():
    assert frame_positions(32, np.full(16, np.nextafter(1, 0))).max() == 31


def test_an_epoch_is_a_permutation_that_seed_and_epoch_decide():
    orders = [tuple(epoch_order(50, *key)) for key in ((0, 0), (0, 0), (0, 1), (1, 0))]
    assert orders[0] == orders[1] and len(set(orders)) == 3
    assert sorted(orders[0]) == list(range(50))


def test_a_view_is_decided_by_seed_epoch_and_clip():
    def key(*draw):
        view = training_view(8, True, *draw)
        return (*view.offsets, *view.window, view.flip)

    assert key(0, 0, 0) == key(0, 0, 0)
    assert len({key(seed, epoch, clip) for seed in (0, 1) for epoch in (0, 1) for clip in (0, 1)}) == 8


def test_half_of_the_clips_are_mirrored_unless_that_is_off():
    flips = [training_view(2, True, 0, 0, clip).flip for clip in range(2000)]
    assert 0.45 < np.mean(flips) < 0.55
    assert not any(training_view(2, False, 0, 0, clip).flip for clip in range(50))
