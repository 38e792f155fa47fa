"""The key-points and their graph as inline SVG over a crop."""

import itertools
from collections.abc import Sequence

import numpy as np

from dfer.schemas.html.markup import Html, tag
from dfer.schemas.keypoints import KeypointSet

REGION_COLORS = ("#ffb000", "#40c4ff", "#ff5c8a", "#7ee081", "#c792ea", "#f78c6c")
NO_REGION_COLOR = "#ffffff"


def region_colors(keypoint_set: KeypointSet) -> list[tuple[str, tuple[int, ...], str]]:
    """List name, key-points and colour of each region, and last of the key-points in no region, if there are any."""
    inside = {k for members in keypoint_set.regions.values() for k in members}
    outside = tuple(k for k in range(keypoint_set.count) if k not in inside)
    colored = zip(keypoint_set.regions.items(), itertools.cycle(REGION_COLORS), strict=False)
    rows = [(name, members, color) for (name, members), color in colored]
    return [*rows, ("no_region", outside, NO_REGION_COLOR)] if outside else rows


def keypoint_overlay(
    keypoint_set: KeypointSet, keypoints: np.ndarray, size: int, *, radii: Sequence[float] | None = None
) -> Html:
    """Draw key-points and the edges of their graph, to put over a square crop.

    keypoints: (K, 2) crop pixels
    size: side of the crop, pixels
    radii: (K,) pixels; one radius for all by default

    A point has the colour of its region. The viewBox puts pixel centres at integers, as the cache does.
    """
    colors = {k: color for _, members, color in region_colors(keypoint_set) for k in members}
    radii = radii if radii is not None else [size / 56] * len(keypoints)
    lines = [
        tag("line", x1=_place(xa), y1=_place(ya), x2=_place(xb), y2=_place(yb))
        for (xa, ya), (xb, yb) in (keypoints[list(edge)] for edge in keypoint_set.edges)
    ]
    circles = [
        tag("circle", cx=_place(x), cy=_place(y), r=f"{radius:.2f}", fill=colors[k])
        for k, ((x, y), radius) in enumerate(zip(keypoints, radii, strict=True))
    ]
    return tag(
        "svg",
        tag("g", *lines, stroke_width=f"{size / 220:.2f}"),
        *circles,
        viewBox=f"-0.5 -0.5 {size} {size}",
        class_="points",
        aria_hidden="true",
    )


def legend(keypoint_set: KeypointSet) -> Html:
    """List the regions with their colours."""
    dots = [tag("li", _dot(color), name.replace("_", " ")) for name, _, color in region_colors(keypoint_set)]
    return tag("ul", *dots, class_="legend", aria_label="Colours of the key-points")


def _dot(color: str) -> Html:
    return tag(
        "svg", tag("ellipse", cx=5, cy=5, rx=4.5, ry=4.5, fill=color), viewBox="0 0 10 10", class_="dot"
    )


def _place(coordinate: float) -> str:
    return f"{coordinate:.1f}"
