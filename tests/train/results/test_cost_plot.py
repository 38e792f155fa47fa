"""The plot of accuracy against cost."""

import pytest

from dfer.train.results.cost_plot import log_ticks


@pytest.mark.parametrize(
    ("low", "high"),
    [(1.277, 2.863), (1.4, 1.4), (0.3, 0.3), (1.5, 1.9), (0.02, 3.1), (0.0004, 80.0), (9.5, 11)],
)
def test_the_ticks_of_a_logarithmic_axis_are_around_all_points_and_few(low, high):
    ticks = log_ticks(low, high)
    assert ticks[0] <= low and high <= ticks[-1] and 2 <= len(ticks) <= 8
    assert ticks == sorted(ticks) and all(f"{tick:.0e}"[0] in "12357" for tick in ticks)
