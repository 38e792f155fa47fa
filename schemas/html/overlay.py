"""The key-points and their graph as inline SVG, to lie over a crop. Colours are the page's CSS."""

from collections.abc import Sequence

import numpy as np

from dfer.schemas.html.markup import Html, tag
from dfer.schemas.keypoints import DLIB18, KeypointSet


def keypoint_overlay(
    keypoints: np.ndarray,
    size: int,
    *,
    radii: Sequence[float] | None = None,
    keypoint_set: KeypointSet = DLIB18,
) -> Html:
    """The graph's edges and the key-points (K, 2), in pixels of a square crop of `size`, to lie over it.

    radii: (K,) of the points in pixels; all the same without. Classes name a point's region; the viewBox puts pixel
    centres at integers, as the cache does.
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


def legend() -> Html:
    """Which colour is which region."""
    names = [*DLIB18.regions, "no_region"]
    dots = [tag("li", tag("span", class_=f"dot {name}"), name.replace("_", " ")) for name in names]
    return tag("ul", *dots, class_="legend", aria_label="Colours of the key-points")


def _place(coordinate: float) -> str:
    return f"{coordinate:.1f}"
