"""When a program is advised how to share the cores."""

import pytest

from dfer.schemas.support.cores import ADVICE, load_advice, waiting_advice


@pytest.mark.parametrize(
    ("load", "machine", "usable", "advised"),
    [
        (0.1, 2, 2, False),
        (1.0, 2, 2, True),
        (1, 64, 64, False),
        (40, 64, 64, True),
        (40, 64, 8, False),
        (60, 64, 8, True),
    ],
)
def test_before_training_the_advice_is_given_where_others_use_the_cores(load, machine, usable, advised):
    assert load_advice(load, machine, usable, {}) == (ADVICE if advised else None)
    assert load_advice(load, machine, usable, {"OMP_NUM_THREADS": "2"}) == (ADVICE if advised else None)
    for followed in ({"OMP_WAIT_POLICY": "PASSIVE"}, {"OMP_NUM_THREADS": "1"}):
        assert load_advice(load, machine, usable, followed) is None


@pytest.mark.parametrize(
    ("waiting", "threads", "advised"), [(0.02, 2, False), (0.4, 2, True), (0.4, 1, False), (0.9, 8, True)]
)
def test_in_training_the_advice_is_given_if_threads_wait_for_cores(waiting, threads, advised):
    assert waiting_advice(waiting, threads, {}) == (ADVICE if advised else None)
    assert waiting_advice(waiting, threads, {"OMP_WAIT_POLICY": "ACTIVE"}) is None
