"""`pipeline report`: a cache as one HTML page. The same cache gives the same bytes."""

import os
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from dfer.pipeline.cache.counts import are_stills, count_clips
from dfer.pipeline.report.clip_statistics import bins, clip_figures
from dfer.pipeline.report.contact_sheet import choose_groups, contact_sheet, further_people
from dfer.pipeline.report.label_table import label_table
from dfer.pipeline.report.source_warnings import warning_list
from dfer.pipeline.report.svg import bar_chart, summary_text
from dfer.pipeline.report.unusable import unusable_list
from dfer.schemas.cache import CLIPS_FILE, INFO_FILE, NO_FACE, OK, STATUSES, CacheInfo
from dfer.schemas.html import page
from dfer.schemas.html.markup import Html, join, tag
from dfer.schemas.html.overlay import legend
from dfer.schemas.html.page import Origin
from dfer.schemas.keypoints import KeypointSet
from dfer.schemas.read_cache import read_cache_info, read_clips, refuse_inside_cache, require_faces

# column of the figures, title, unit, smallest step of the bins, caption
CHARTS = (
    ("frames", "Frames kept", "frames", 1, "Frames of the clip in the cache."),
    ("side", "Face size", "pixels", 5, "Side of the face box in the source, median over the clip's frames."),
    ("yaw", "Yaw", "degrees", 5, "Positive: the nose points to the image's right."),
    ("pitch", "Pitch", "degrees", 5, "Positive: the nose points up."),
    ("roll", "Roll", "degrees", 5, "Positive: the head is turned clockwise in the image."),
    (
        "score",
        "Detector score",
        "score",
        0.01,
        "BlazeFace's score, 0 to 1, median over the frames where it found the face.",
    ),
)
RANK = (
    "Clips are ranked by the share of their frames with a face, then by BlazeFace's median score (0 to 1). Clips "
    "where only HOG found a face come last among equals. Three frames are shown: from the clip's beginning, middle "
    "and end. Sizes, scores and angles are medians."
)
RANK_OF_STILLS = (
    "Stills are ranked by BlazeFace's score (0 to 1). Those where only HOG found a face come last."
)
POSE = (
    "Pose is estimated from five landmarks (outer eye corners, nose tip, mouth corners), with the proportions of an "
    "average head (MediaPipe's canonical face model) seen from far away; a clip's is the median over its frames "
    "where a face was found. Roll is accurate to about a degree, yaw and pitch to a few: enough for the distribution "
    "of a dataset, not for single clips."
)
FACES = "These are people's faces: share this page only as far as the dataset's licence allows."


def report_page(cache: Path, clips_per_group: int) -> bytes:
    """Build the page of a cache, UTF-8. clips_per_group: clips on each contact sheet; 0 shows no faces.

    Raises UserError if the cache is unfinished or damaged, or has no faces.
    """
    info, clips = read_cache_info(cache), read_clips(cache)
    people = read_clips(cache, people=True)
    require_faces(cache)
    every = clip_figures(cache, people, info.keypoints.count)
    own = pl.col("clip_id").is_in(clips["clip_id"].implode())
    figures, others = every.filter(own), every.filter(~own)
    groups = [*choose_groups(figures, clips_per_group), *further_people(others, clips_per_group)]
    sheets = [contact_sheet(group, cache, info) for group in groups]
    stills = are_stills(clips)
    sections = {
        "Labels": label_table(clips, info.labels, stills=stills),
        "Distributions": _distributions(figures, stills),
        "Contact sheets": _contact_sheets(sheets, figures, info.keypoints, stills),
        "Unusable clips": unusable_list(clips),
        "Source warnings": warning_list(people),
        "Settings and versions": _provenance(info),
    }
    return page.document(
        "Landmark cache",
        info.dataset,
        _overview(people if info.several_people else clips),
        sections,
        origin=_origin(cache),
    )


def report_target(cache: Path, out: Path | None) -> Path:
    """Where the page of a cache is to be written: `out`, or NAME-report.html next to the cache.

    Raises UserError if there is no such cache, the page cannot be written there or would be inside a cache, or
    another file is there.
    """
    read_cache_info(cache)
    # As the user wrote it, except for . and ..; next to a link, not to where it leads.
    own = cache if cache.name not in ("", "..") else Path(os.path.abspath(cache))  # noqa: PTH100
    target = out or own.with_name(f"{own.name}-report.html")
    refuse_inside_cache(target)
    page.page_target(target, _origin(cache), own=out is None)
    return target


def _origin(cache: Path) -> Origin:
    return Origin.of_files("pipeline report", cache / INFO_FILE, cache / CLIPS_FILE)


def _overview(clips: pl.DataFrame) -> Html:
    counts = count_clips(clips)
    stills = are_stills(clips)
    statuses = (status for status in STATUSES if status == OK or counts[status])
    names = ["clips", *statuses, *(["people"] if "people" in counts else [])]
    words = {OK: "usable", "frames": "frames kept"}
    numbers = [*names, *([] if stills else ["frames"])]
    shown = [(words.get(name, name), f"{counts[name]:,}".replace(",", "\u202f")) for name in numbers]
    if stills:
        shown.append(("face found", f"{100 * counts[OK] / (counts[OK] + counts[NO_FACE]):.1f} %"))
    elif counts["frames"]:
        with_face = 100 * counts["frames_with_face"] / counts["frames"]
        shown.append(("frames with a face", f"{with_face:.1f} %"))
    return page.key_figures(shown)


def _distributions(figures: pl.DataFrame, stills: bool) -> Html:
    if not len(figures):
        return tag("p", "No usable clip, so nothing to measure.")
    charts = []
    for column, title, unit, smallest, caption in CHARTS[1:] if stills else CHARTS:
        found = bins(figures[column].drop_nulls(), smallest)
        charts.append(
            tag(
                "figure",
                tag("h3", title),
                bar_chart(found, title=title, unit=unit),
                tag("figcaption", f"{caption} {summary_text(found, unit).capitalize()}."),
            )
        )
    return join(
        tag("p", "Number of usable clips per value. A bar starts at the number under its left edge."),
        tag("div", *charts, class_="charts"),
        tag("p", POSE),
    )


def _contact_sheets(
    sheets: Sequence[Html], figures: pl.DataFrame, keypoints: KeypointSet, stills: bool
) -> Html:
    if not len(figures):
        return tag("p", "No usable clip, so no crop to show.")
    if not sheets:
        return tag("p", "Left out (--clips 0).")
    return join(tag("p", RANK_OF_STILLS if stills else RANK), legend(keypoints), *sheets, tag("p", FACES))


def _provenance(info: CacheInfo) -> Html:
    return page.fact_tables(
        {
            "Settings": {
                **page.spaced(info.settings),
                "settings hash": info.settings_hash,
                "key-points": info.keypoint_set,
            },
            "Versions": {"cache format": info.format_version, **info.versions},
            "Model files (sha256)": info.models,
        }
    )
