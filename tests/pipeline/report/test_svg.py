import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from dfer.pipeline.report.clip_statistics import bins
from dfer.pipeline.report.svg import bar_chart, number, summary_text


def test_bars_are_as_high_as_their_counts_and_both_axes_have_numbers():
    chart = ElementTree.fromstring(bar_chart(bins([1, 1, 1, 2, 4, 9.5], 1), title="Size", unit="px"))
    bars = chart.findall(".//rect")
    heights = np.array([float(bar.get("height")) for bar in bars])
    counts = [3, 1, 0, 1, 0, 0, 0, 0, 1]
    np.testing.assert_allclose(heights / heights.max(), np.array(counts) / 3, atol=1e-3)
    assert [bar.find("title").text for bar in bars][:2] == ["1 to 2 px: 3 clips", "2 to 3 px: 1 clips"]
    words = [label.text for label in chart.findall("text")]
    assert words == ["0", "2", "4", "2", "4", "6", "8", "10", "px"]
    assert chart.get("role") == "img" and chart.get("aria-label").startswith("Size: 6 clips, median 1.5, ")


def test_a_chart_without_values_is_empty():
    chart = ElementTree.fromstring(bar_chart(bins([]), title="Yaw", unit="degrees"))
    assert chart.get("aria-label") == "Yaw: no clips" and not chart.findall(".//rect")


def test_a_summary_has_no_more_digits_than_a_tenth_of_a_bin():
    assert (
        summary_text(bins([0.123456, 0.2, 7.98765], 1), "s")
        == "3 clips, median 0.2, middle 90 % from 0.1 to 7.2 s"
    )


@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "0"), (-0.0, "0"), (-12.5, "−12.5"), (1234.4, "1234"), (1e38, "1e+38"), (0.30000000004, "0.3")],
)
def test_numbers_are_short(value, words):
    assert number(value) == words
