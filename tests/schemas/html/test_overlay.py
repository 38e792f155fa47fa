import xml.etree.ElementTree as ElementTree

import numpy as np

from dfer.schemas.html.overlay import NO_REGION_COLOR, REGION_COLORS, keypoint_overlay
from dfer.schemas.keypoints import DLIB18


def test_the_overlay_draws_the_points_and_the_edges():
    points = np.random.default_rng(0).uniform(0, 127, (18, 2)).round(1)
    overlay = ElementTree.fromstring(keypoint_overlay(DLIB18, points, 128))
    assert overlay.get("viewBox") == "-0.5 -0.5 128 128"  # pixel centres at integers
    circles = overlay.findall("circle")
    np.testing.assert_array_equal([(float(c.get("cx")), float(c.get("cy"))) for c in circles], points)
    regions = [0] * 5 + [1] * 5 + [2] * 6
    colors = [*(REGION_COLORS[k] for k in regions), NO_REGION_COLOR, NO_REGION_COLOR]
    assert [c.get("fill") for c in circles] == colors
    lines = [[float(line.get(k)) for k in ("x1", "y1", "x2", "y2")] for line in overlay.findall("g/line")]
    np.testing.assert_array_equal(lines, points[np.array(DLIB18.edges)].reshape(-1, 4))


def test_each_point_can_have_its_own_radius():
    overlay = ElementTree.fromstring(keypoint_overlay(DLIB18, np.zeros((18, 2)), 112, radii=range(18)))
    assert [float(circle.get("r")) for circle in overlay.findall("circle")] == list(range(18))
