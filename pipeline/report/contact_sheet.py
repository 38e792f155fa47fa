"""Crops with their key-points drawn over them, a card a clip.

A crop's bytes come from the cache, so they are decoded, checked and encoded anew: what lands in the page is a
JPEG that this program made, without whatever else the file carried.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from dfer.pipeline.report.clip_statistics import SEED, random_sample, ranking
from dfer.pipeline.report.svg import number
from dfer.schemas.face_shards import ShardReader
from dfer.schemas.html.markup import Html, join, tag
from dfer.schemas.html.overlay import keypoint_overlay
from dfer.schemas.html.page import picture
from dfer.schemas.keypoints import DLIB18
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.text import counted

FRAMES_SHOWN = 3  # of a clip, at floor((k + 0.5)·m / 3): beginning, middle, end
LARGEST = 256  # pixels; larger crops are shrunk, so that the page stays small
QUALITY = 85


@dataclass(frozen=True, kw_only=True)
class Group:
    """Clips that are shown together: rows of the figures (`statistics.FIGURES_SCHEMA`) and why these."""

    title: str
    choice: str
    figures: pl.DataFrame


def choose_groups(figures: pl.DataFrame, count: int) -> list[Group]:
    """The best, the worst and a random sample, `count` of each; all at once where there are no more."""
    if not count:
        return []
    ranked = ranking(figures)
    if len(ranked) <= count:
        return [Group(title="All usable clips", choice="Best first.", figures=ranked)]
    worst = min(count, len(ranked) - count)  # a clip is never both
    return [
        Group(title="Best", choice=f"The {count} first in rank.", figures=ranked[:count]),
        Group(
            title="Worst", choice=f"The {worst} last in rank, the worst first.", figures=ranked[-worst:][::-1]
        ),
        Group(
            title="Random sample",
            choice=f"{count} of {counted(len(ranked), 'usable clip')}, drawn with the fixed seed {SEED} "
            "(smallest sha256 of seed and clip id).",
            figures=random_sample(figures, count),
        ),
    ]


def contact_sheet(group: Group, cache: Path, size: int) -> Html:
    """The cards of a group. size: side of the cache's crops, pixels.

    Raises UserError where a face shard is missing or damaged, or a crop is no JPEG of that size.
    """
    reader = ShardReader(cache, DLIB18.count)
    cards = [_card(clip, cache, reader, size) for clip in group.figures.iter_rows(named=True)]
    return join(tag("h3", group.title), tag("p", group.choice), tag("div", *cards, class_="cards"))


def _card(clip: dict[str, Any], cache: Path, reader: ShardReader, size: int) -> Html:
    share = 100 * clip["frames_with_face"] / clip["frames"]
    facts = [f"face in {share:.0f} % of {counted(clip['frames'], 'frame')}"]
    if clip["score"] is not None:
        facts.append(f"score {clip['score']:.2f}")
    if clip["side"] is not None:
        facts.append(f"{number(clip['side'])} px")
        facts += [f"{angle} {number(round(clip[angle]))}°" for angle in ("yaw", "pitch", "roll")]
    return tag(
        "figure",
        tag("div", *_pictures(clip, cache, reader, size), class_="strip"),
        tag(
            "figcaption",
            tag("b", clip["label"]) if clip["label"] is not None else tag("em", "no label"),
            " ",
            tag("span", clip["path"], class_="path"),
            tag("br"),
            " · ".join(facts),
        ),
    )


def _pictures(clip: dict[str, Any], cache: Path, reader: ShardReader, size: int) -> Iterator[Html]:
    stored = reader.read(clip["shard"], clip["row"], clip["clip_id"])
    frames = len(stored.crops)
    if frames != clip["frames"]:
        raise UserError(
            f"{cache}, clip {clip['clip_id']}: {frames} crops for {clip['frames']} frames; make this cache again"
        )
    shown = min(FRAMES_SHOWN, frames)
    for position in (int((k + 0.5) * frames / shown) for k in range(shown)):
        jpeg = own_jpeg(stored.crops[position], size, f"{cache}, clip {clip['clip_id']}")
        found = bool(stored.detected[position])
        note = "" if found else ", no face found: box carried over"
        yield tag(
            "div",
            picture(
                jpeg,
                f"frame {position + 1} of {frames} of {clip['path']}{note}",
                "jpeg",
                width=min(size, LARGEST),
                height=min(size, LARGEST),
            ),
            keypoint_overlay(DLIB18, stored.keypoints[position], size),
            None if found else tag("span", "no face found", class_="flag"),
            class_="crop",
        )


def own_jpeg(stored: memoryview | bytes, size: int, where: str) -> bytes:
    """A crop encoded anew, at most LARGEST pixels wide.

    Raises UserError, naming `where`, unless `stored` is a JPEG of size × size pixels.
    """
    import simplejpeg

    try:
        # The header first: a few bytes can claim a picture that fills the memory.
        height, width, *_ = simplejpeg.decode_jpeg_header(stored)
        if (height, width) != (size, size):
            raise ValueError(f"{width}×{height} pixels instead of {size}×{size}")
        pixels = simplejpeg.decode_jpeg(stored, colorspace="RGB")
    except ValueError as error:
        reason = str(error).split("\n")[0]
        raise UserError(f"{where}: a crop is not sound ({reason}); make this cache again") from None
    return simplejpeg.encode_jpeg(_shrunk(pixels), quality=QUALITY, colorspace="RGB")


def _shrunk(pixels: np.ndarray) -> np.ndarray:
    from PIL import Image

    if len(pixels) <= LARGEST:
        return pixels
    small = Image.fromarray(pixels).resize((LARGEST, LARGEST), Image.Resampling.BOX)
    return np.ascontiguousarray(small)
