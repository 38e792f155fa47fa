import xml.etree.ElementTree as ElementTree

import numpy as np

from dfer.schemas.html.overlay import keypoint_overlay
from dfer.schemas.keypoints import DLIB18


def test_the_overlay_puts_circles_on_the_points_and_lines_on_the_edges():
    points = np.random.default_rng(0).uniform(0, 127, (18, 2)).round(1)
    overlay = ElementTree.fromstring(keypoint_overlay(DLIB18, points, 128))
    assert overlay.get("viewBox") == "-0.5 -0.5 128 128"  # pixel centres at integers
    circles = overlay.findall("circle")
    np.testing.assert_array_equal([(float(c.get("cx")), float(c.get("cy"))) for c in circles], points)
    regions = ["upper_image_left"] * 5 + ["upper_image_right"] * 5 + ["lower"] * 6 + ["no_region"] * 2
    assert [c.get("class") for c in circles] == regions
    lines = [[float(line.get(k)) for k in ("x1", "y1", "x2", "y2")] for line in overlay.findall("g/line")]
    np.testing.assert_array_equal(lines, points[np.array(DLIB18.edges)].reshape(-1, 4))


def test_a_point_may_have_a_size_of_its_own():
    overlay = ElementTree.fromstring(keypoint_overlay(DLIB18, np.zeros((18, 2)), 112, radii=range(18)))
    assert [float(circle.get("r")) for circle in overlay.findall("circle")] == list(range(18))
