"""Clips as the network receives them, one card each: key-point maps, W_a, and attention to the frames."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl

from dfer.schemas.html.markup import Html, join, tag
from dfer.schemas.html.overlay import keypoint_overlay, region_colors
from dfer.schemas.html.page import picture
from dfer.schemas.keypoints import KeypointSet
from dfer.train.report.activations import InputClip

QUALITY = 85  # of the JPEGs


def choose_clips(predictions: pl.DataFrame, count: int) -> dict[str, pl.DataFrame]:
    """Choose usable, labelled clips of a prediction table, those with the highest predicted probability first.

    Returns up to `count` correctly classified clips, alternating between the classes, and up to `count` incorrectly
    classified ones, by title, with a column `certainty`.
    """
    shares = [name for name in predictions.columns if name.startswith("p_")]
    labelled = predictions.filter(pl.col("usable") & pl.col("label").is_not_null())
    labelled = labelled.with_columns(certainty=pl.max_horizontal(shares)).sort(
        "certainty", "clip_id", descending=[True, False]
    )
    correct = labelled.filter(pl.col("label") == pl.col("predicted"))
    turns = correct.with_columns(turn=pl.int_range(pl.len()).over("label")).sort("turn", maintain_order=True)
    incorrect = labelled.filter(pl.col("label") != pl.col("predicted"))
    return {"Correctly classified": turns.head(count), "Incorrectly classified": incorrect.head(count)}


def clip_card(
    clip: Mapping[str, Any],
    shown: InputClip,
    keypoint_set: KeypointSet,
    attention: np.ndarray | None,
    weights: np.ndarray | None,
) -> Html:
    """Show one clip.

    clip: its row of `choose_clips`
    shown: the same clip as the network receives it
    keypoint_set: of its cache
    attention: (N,) the last block's attention to the frames; None if the network has no transformer
    weights: (N, K) W_a; None if the graph passes no messages
    """
    frame = len(shown.frames) // 2 if attention is None else int(attention.argmax())
    of_frame = None if weights is None else weights[frame]
    return tag(
        "figure",
        tag(
            "div",
            tag("div", *_large_pictures(shown, keypoint_set, frame, of_frame), class_="large"),
            tag("div", *_small_frames(shown, attention), class_="film"),
            class_="seen",
        ),
        tag(
            "figcaption",
            tag("b", clip["label"]),
            ", predicted ",
            tag("b", clip["predicted"]),
            f" ({100 * clip['certainty']:.0f} %) ",
            tag("span", clip["clip_id"], class_="path"),
            f" · large: frame {frame + 1}",
        ),
    )


def _large_pictures(
    shown: InputClip, keypoint_set: KeypointSet, frame: int, weights: np.ndarray | None
) -> Iterator[Html]:
    pixels = shown.frames[frame]
    size = len(pixels)
    if shown.maps is not None:
        tinted = tint_maps(pixels, shown.maps[frame], keypoint_set)
        yield _captioned(picture(_jpeg(tinted), "key-point maps", "jpeg"), "key-point maps")
    if weights is None:
        radii, caption = None, "key-points"
    else:
        # Areas are proportional to the weights.
        radii, caption = size / 18 * np.sqrt(weights / max(float(weights.max()), 1e-9)), "W_a"
    overlay = keypoint_overlay(keypoint_set, shown.keypoints[frame], size, radii=radii)
    yield _captioned(join(picture(_jpeg(pixels), caption, "jpeg"), overlay), caption)


def _captioned(crop: Html, caption: str) -> Html:
    return tag("div", tag("div", crop, class_="crop"), tag("span", caption, class_="note"))


def _small_frames(shown: InputClip, attention: np.ndarray | None) -> Iterator[Html]:
    for number, pixels in enumerate(shown.frames):
        small = picture(_jpeg(pixels), f"frame {number + 1} of {len(shown.frames)}", "jpeg")
        bar = None if attention is None else _attention_bar(number, attention)
        yield tag("div", small, bar)


def _attention_bar(number: int, attention: np.ndarray) -> Html:
    """A bar for a frame's share of the attention, relative to the frame with the most."""
    share, top = float(attention[number]), float(attention.max()) or 1  # 0 if all frames are masked
    words = f"frame {number + 1}: {100 * share:.1f} % of the attention"
    rect = tag("rect", tag("title", words), x="0", y="0", width=f"{100 * share / top:.1f}", height="10")
    return tag("svg", rect, viewBox="0 0 100 10", preserveAspectRatio="none", class_="share")


def tint_maps(pixels: np.ndarray, maps: np.ndarray, keypoint_set: KeypointSet) -> np.ndarray:
    """Tint a frame with the key-points' maps, each region in its colour.

    pixels: (S, S, 3) uint8
    maps: (K, h, w), 0–1
    """
    from PIL import Image, ImageColor

    tinted = pixels.astype(np.float32)
    for _, members, color in region_colors(keypoint_set):
        strength = maps[list(members)].max(0)
        grown = Image.fromarray(strength.astype(np.float32)).resize(
            pixels.shape[1::-1], Image.Resampling.BILINEAR
        )
        share = 0.6 * np.clip(np.asarray(grown), 0, 1)[..., None]
        tinted = (1 - share) * tinted + share * np.array(ImageColor.getrgb(color), np.float32)
    return tinted.round().astype(np.uint8)


def cards(groups: Mapping[str, list[Html]]) -> Html:
    """The cards of each group under its title."""
    return join(*(join(tag("h3", title), *(group or [tag("p", "None.")])) for title, group in groups.items()))


def _jpeg(pixels: np.ndarray) -> bytes:
    import simplejpeg

    return simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=QUALITY, colorspace="RGB")
