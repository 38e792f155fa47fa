"""Clips as the network sees them, a card each: where its key-point maps lie, what W_a and attention weigh."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl

from dfer.schemas.html.markup import Html, join, tag
from dfer.schemas.html.overlay import keypoint_overlay
from dfer.schemas.html.page import picture
from dfer.schemas.keypoints import DLIB18
from dfer.train.report.insight import Seen

QUALITY = 85
# Of the regions and of the points in none: as in the page's style sheet.
COLOURS = {
    "upper_image_left": (255, 176, 0),
    "upper_image_right": (64, 196, 255),
    "lower": (255, 92, 138),
    "no_region": (255, 255, 255),
}


def choose_clips(predictions: pl.DataFrame, count: int) -> dict[str, pl.DataFrame]:
    """Rows of a prediction table's usable, labelled clips by why they are shown, `count` of each kind, the surest
    first: told rightly, class after class; told wrongly."""
    shares = [name for name in predictions.columns if name.startswith("p_")]
    judged = predictions.filter(pl.col("usable") & pl.col("label").is_not_null())
    judged = judged.with_columns(certainty=pl.max_horizontal(shares)).sort(
        "certainty", "clip_id", descending=[True, False]
    )
    right = judged.filter(pl.col("label") == pl.col("predicted"))
    in_turn = right.with_columns(turn=pl.int_range(pl.len()).over("label")).sort("turn", maintain_order=True)
    wrong = judged.filter(pl.col("label") != pl.col("predicted"))
    return {"Told rightly": in_turn.head(count), "Told wrongly": wrong.head(count)}


def clip_card(
    clip: Mapping[str, Any], seen: Seen, attention: np.ndarray | None, weights: np.ndarray | None
) -> Html:
    """A clip of the prediction table. attention: (N,) shares of the last block; weights: (N, K) W_a; None where the
    network has none."""
    shown = len(seen.frames) // 2 if attention is None else int(attention.argmax())
    return tag(
        "figure",
        tag(
            "div",
            tag("div", *_large(seen, shown, None if weights is None else weights[shown]), class_="large"),
            tag("div", *_small(seen, attention), class_="film"),
            class_="seen",
        ),
        tag(
            "figcaption",
            tag("b", clip["label"]),
            ", predicted ",
            tag("b", clip["predicted"]),
            f" ({100 * clip['certainty']:.0f} %) ",
            tag("span", clip["clip_id"], class_="path"),
            f" · the large pictures show frame {shown + 1}",
        ),
    )


def _large(seen: Seen, frame: int, weights: np.ndarray | None) -> Iterator[Html]:
    size = len(seen.frames[frame])
    covered = picture(_jpeg(under_maps(seen.frames[frame], seen.maps[frame])), "key-point maps", "jpeg")
    yield _noted(covered, "key-point maps")
    if weights is None:
        radii, note = None, "key-points"
    else:
        # Areas follow the weights.
        radii, note = size / 18 * np.sqrt(weights / max(float(weights.max()), 1e-9)), "W_a"
    overlay = keypoint_overlay(DLIB18, seen.keypoints[frame], size, radii=radii)
    yield _noted(join(picture(_jpeg(seen.frames[frame]), note, "jpeg"), overlay), note)


def _noted(crop: Html, note: str) -> Html:
    return tag("div", tag("div", crop, class_="crop"), tag("span", note, class_="note"))


def _small(seen: Seen, attention: np.ndarray | None) -> Iterator[Html]:
    for number, pixels in enumerate(seen.frames):
        small = picture(_jpeg(pixels), f"frame {number + 1} of {len(seen.frames)}", "jpeg")
        bar = None if attention is None else _bar(number, attention)
        yield tag("div", small, bar)


def _bar(number: int, attention: np.ndarray) -> Html:
    """How much attention a frame has, beside the frame with the most."""
    share, top = float(attention[number]), float(attention.max())
    words = f"frame {number + 1}: {100 * share:.1f} % of the attention"
    rect = tag("rect", tag("title", words), x="0", y="0", width=f"{100 * share / top:.1f}", height="10")
    return tag("svg", rect, viewBox="0 0 100 10", preserveAspectRatio="none", class_="share")


def under_maps(pixels: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """A frame (S, S, 3) uint8 tinted where the key-points' maps (K, h, w) lie, each region in its colour."""
    from PIL import Image

    tinted = pixels.astype(np.float32)
    regions = {**DLIB18.regions}
    inside = {k for members in regions.values() for k in members}
    regions["no_region"] = tuple(k for k in range(DLIB18.count) if k not in inside)
    for name, members in regions.items():
        strength = maps[list(members)].max(0)
        grown = Image.fromarray(strength.astype(np.float32)).resize(
            pixels.shape[1::-1], Image.Resampling.BILINEAR
        )
        share = 0.6 * np.clip(np.asarray(grown), 0, 1)[..., None]
        tinted = (1 - share) * tinted + share * np.array(COLOURS[name], np.float32)
    return tinted.round().astype(np.uint8)


def cards(shown: Mapping[str, list[Html]]) -> Html:
    """The cards under the headings of their kinds."""
    return join(
        *(join(tag("h3", title), *(group or [tag("p", "There are none.")])) for title, group in shown.items())
    )


def _jpeg(pixels: np.ndarray) -> bytes:
    import simplejpeg

    return simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=QUALITY, colorspace="RGB")
