"""Contact sheets: crops with their key-points, one card per clip.

A crop's bytes come from the cache, so they are decoded, checked and encoded again: the page contains only JPEGs that
this program made, without any metadata that the file had.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from dfer.pipeline.report.clip_statistics import SEED, random_sample, ranking
from dfer.pipeline.report.svg import number
from dfer.schemas.cache import CacheInfo
from dfer.schemas.face_shards import ShardReader
from dfer.schemas.html.markup import Html, join, tag
from dfer.schemas.html.overlay import keypoint_overlay
from dfer.schemas.html.page import picture
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.text import counted

FRAMES_SHOWN = 3  # of a clip, at floor((k + 0.5)·m / 3): beginning, middle, end
LARGEST = 256  # pixels; larger crops are shrunk to keep the page small
QUALITY = 85


@dataclass(frozen=True, kw_only=True)
class Group:
    """Clips that are shown together.

    choice: how they were chosen, for the reader
    figures: their rows of `clip_statistics.clip_figures`
    """

    title: str
    choice: str
    figures: pl.DataFrame


def choose_groups(figures: pl.DataFrame, count: int) -> list[Group]:
    """Choose the best, the worst and a random sample, `count` clips each; one group if there are no more."""
    if not count:
        return []
    ranked = ranking(figures)
    if len(ranked) <= count:
        return [Group(title="All usable clips", choice="Best first.", figures=ranked)]
    worst = min(count, len(ranked) - count)  # no clip is in both
    sampled = f"{count} of {counted(len(ranked), 'usable clip')}, drawn with the fixed seed {SEED}."
    return [
        Group(title="Best", choice=f"The top {count} in rank.", figures=ranked[:count]),
        Group(
            title="Worst", choice=f"The bottom {worst} in rank, worst first.", figures=ranked[-worst:][::-1]
        ),
        Group(title="Random sample", choice=sampled, figures=random_sample(figures, count)),
    ]


def further_people(figures: pl.DataFrame, count: int) -> list[Group]:
    """Choose a random sample of the further people in clips, with their ids in place of the path."""
    shown = min(count, len(figures))
    if not shown:
        return []
    choice = f"{shown} of {len(figures)} in clips that show several, drawn with the fixed seed {SEED}."
    named = random_sample(figures, count).with_columns(path="clip_id")
    return [Group(title="Further people", choice=choice, figures=named)]


def contact_sheet(group: Group, cache: Path, info: CacheInfo) -> Html:
    """Show the cards of a group. info: the cache's `cache.json`.

    Raises UserError if a face shard is missing or damaged, or if a crop is not a JPEG of the cache's size.
    """
    reader = ShardReader(cache, info.keypoints.count)
    cards = []
    for clip in group.figures.iter_rows(named=True):
        pictures = tag("div", *_pictures(clip, cache, reader, info), class_="strip")
        cards.append(tag("figure", pictures, _caption(clip)))
    return join(tag("h3", group.title), tag("p", group.choice), tag("div", *cards, class_="cards"))


def _caption(clip: dict[str, Any]) -> Html:
    facts = []
    if clip["frames"] > 1:
        share = 100 * clip["frames_with_face"] / clip["frames"]
        facts.append(f"face in {share:.0f} % of {clip['frames']} frames")
    if clip["score"] is not None:
        facts.append(f"score {clip['score']:.2f}")
    if clip["side"] is not None:
        facts.append(f"{number(clip['side'])} px")
        facts += [f"{angle} {number(round(clip[angle]))}°" for angle in ("yaw", "pitch", "roll")]
    return tag(
        "figcaption",
        tag("b", clip["label"]) if clip["label"] is not None else tag("em", "no label"),
        " ",
        tag("span", clip["path"], class_="path"),
        tag("br"),
        " · ".join(facts),
    )


def _pictures(clip: dict[str, Any], cache: Path, reader: ShardReader, info: CacheInfo) -> Iterator[Html]:
    where, size = f"{cache}, clip {clip['clip_id']}", info.crop_size
    stored = reader.read(clip["shard"], clip["row"], clip["clip_id"])
    frames = len(stored.crops)
    if frames != clip["frames"]:
        raise UserError(f"{where}: {frames} crops for {clip['frames']} frames; extract this cache again")
    shown = min(FRAMES_SHOWN, frames)
    for position in (int((k + 0.5) * frames / shown) for k in range(shown)):
        jpeg = reencode(stored.crops[position], size, where)
        found = bool(stored.detected[position])
        note = "" if found else ", no face found, box carried over"
        yield tag(
            "div",
            picture(
                jpeg,
                f"frame {position + 1} of {frames} of {clip['path']}{note}",
                "jpeg",
                width=min(size, LARGEST),
                height=min(size, LARGEST),
            ),
            keypoint_overlay(info.keypoints, stored.keypoints[position], size),
            None if found else tag("span", "no face found", class_="flag"),
            class_="crop",
        )


def reencode(stored: memoryview | bytes, size: int, where: str) -> bytes:
    """Decode, check and encode a crop, at most LARGEST pixels wide.

    stored: JPEG from the cache
    size: expected side, pixels
    where: cache and clip, for the message

    Raises UserError unless it is a JPEG of size × size pixels.
    """
    import simplejpeg

    try:
        # The header first: a few bytes can claim a picture that fills the memory.
        height, width, *_ = simplejpeg.decode_jpeg_header(stored)
        if (height, width) != (size, size):
            raise ValueError(f"{width}×{height} pixels, not {size}×{size}")
        pixels = simplejpeg.decode_jpeg(stored, colorspace="RGB")
    except ValueError as error:
        reason = str(error).split("\n")[0]
        raise UserError(f"{where}: a crop is damaged ({reason}); extract this cache again") from None
    return simplejpeg.encode_jpeg(_shrunk(pixels), quality=QUALITY, colorspace="RGB")


def _shrunk(pixels: np.ndarray) -> np.ndarray:
    from PIL import Image

    if len(pixels) <= LARGEST:
        return pixels
    small = Image.fromarray(pixels).resize((LARGEST, LARGEST), Image.Resampling.BOX)
    return np.ascontiguousarray(small)
