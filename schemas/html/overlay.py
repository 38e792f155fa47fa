"""The key-points and their graph as inline SVG over a crop. The page's CSS has the colours."""

from collections.abc import Sequence

import numpy as np

from dfer.schemas.html.markup import Html, tag
from dfer.schemas.keypoints import KeypointSet


def keypoint_overlay(
    keypoint_set: KeypointSet, keypoints: np.ndarray, size: int, *, radii: Sequence[float] | None = None
) -> Html:
    """Draw key-points and the edges of their graph, to put over a square crop.

    keypoints: (K, 2) crop pixels
    size: side of the crop, pixels
    radii: (K,) pixels; one radius for all by default

    The class of a point is its region. The viewBox puts pixel centres at integers, as the cache does.
    """
    region_of = {k: name for name, members in keypoint_set.regions.items() for k in members}
    radii = radii if radii is not None else [size / 56] * len(keypoints)
    lines = [
        tag("line", x1=_place(xa), y1=_place(ya), x2=_place(xb), y2=_place(yb))
        for (xa, ya), (xb, yb) in (keypoints[list(edge)] for edge in keypoint_set.edges)
    ]
    circles = [
        tag("circle", cx=_place(x), cy=_place(y), r=f"{radius:.2f}", class_=region_of.get(k, "no_region"))
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
    names = [*keypoint_set.regions, "no_region"]
    dots = [tag("li", tag("span", class_=f"dot {name}"), name.replace("_", " ")) for name in names]
    return tag("ul", *dots, class_="legend", aria_label="Colours of the key-points")


def _place(coordinate: float) -> str:
    return f"{coordinate:.1f}"
