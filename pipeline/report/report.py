"""The report of a cache: one HTML page (`schemas.page`) that is the same for the same cache.

pipeline report CACHE --out report.html
"""

from pathlib import Path

import polars as pl

from dfer.pipeline.report.clip_statistics import bins, clip_figures
from dfer.pipeline.report.contact_sheet import choose_groups, contact_sheet
from dfer.pipeline.report.label_table import label_table
from dfer.pipeline.report.source_warnings import warning_list
from dfer.pipeline.report.svg import bar_chart, describe
from dfer.pipeline.report.unusable import unusable_list
from dfer.pipeline.run.summary import summarise
from dfer.schemas.cache import OK, STATUSES, CacheInfo
from dfer.schemas.html import page
from dfer.schemas.html.markup import Html, join, tag
from dfer.schemas.html.overlay import legend
from dfer.schemas.keypoints import DLIB18
from dfer.schemas.read_cache import read_cache_info, read_clips, require_faces
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.files import target_file

# column of the figures, title, unit, smallest step of the bins, what it is
CHARTS = (
    ("frames", "Frames kept", "frames", 1, "Frames of the clip that are in the cache."),
    ("side", "Face size", "pixels", 5, "Side of the face's box in the source, median of the clip's frames."),
    ("yaw", "Yaw", "degrees", 5, "Positive: the nose points to the image's right."),
    ("pitch", "Pitch", "degrees", 5, "Positive: the nose points up."),
    ("roll", "Roll", "degrees", 5, "Positive: the head is turned clockwise in the image."),
    (
        "score",
        "Detector score",
        "score",
        0.01,
        "BlazeFace's score, 0 to 1, median of the frames where it found the face.",
    ),
)
RANK = (
    "Clips are ranked by the share of their frames in which a face was found, then by BlazeFace's median score "
    "(0 to 1; clips that only HOG found a face in come last among equals)."
)
POSE = (
    "Pose is the median over a clip's frames with a face. It is estimated from five of the 68 landmarks, the "
    "outer eye corners, the tip of the nose and the mouth's corners, with the proportions of an average head "
    "(MediaPipe's canonical face model) seen from far away. Roll is good to a degree, yaw and pitch to a few: "
    "read them for what a dataset holds, not for single clips."
)


def report_page(cache: Path, clips_per_group: int) -> bytes:
    """The page of a cache, UTF-8. clips_per_group: clips on each contact sheet; 0 shows no faces.

    Raises UserError where the cache is unfinished, damaged, without faces, or made for other key-points.
    """
    info, clips = read_cache_info(cache), read_clips(cache)
    require_faces(cache)
    size = info.crop_size
    figures = clip_figures(cache, clips)
    sheets = [contact_sheet(group, cache, size) for group in choose_groups(figures, clips_per_group)]
    sections = {
        "Labels": label_table(clips, info.labels),
        "Distributions": _distributions(figures),
        "Contact sheets": _contact_sheets(sheets, figures),
        "Unusable clips": unusable_list(clips),
        "Source warnings": warning_list(clips),
        "What made this cache": _provenance(info),
    }
    return page.document("Landmark cache", info.dataset, _overview(clips), sections)


def check_target(out: Path, cache: Path) -> None:
    """Raise UserError where a page cannot be put at `out`; not into the cache, whose bytes must not change."""
    if cache.is_dir() and out.resolve().is_relative_to(cache.resolve()):
        raise UserError(f"--out {out} lies in the cache, which must stay as it is; give a place outside")
    target_file(out)


def _overview(clips: pl.DataFrame) -> Html:
    counts = summarise(clips)
    shown = ["clips", *(status for status in STATUSES if status == OK or counts[status]), "frames"]
    words = {OK: "usable", "frames": "frames kept"}
    shown_tiles = [(words.get(name, name), f"{counts[name]:,}".replace(",", "\u202f")) for name in shown]
    if counts["frames"]:
        with_face = 100 * counts["frames_with_face"] / counts["frames"]
        shown_tiles.append(("of them with a face", f"{with_face:.1f} %"))
    return page.key_figures(shown_tiles)


def _distributions(figures: pl.DataFrame) -> Html:
    if not len(figures):
        return tag("p", "No usable clip, so nothing to measure.")
    charts = []
    for column, title, unit, smallest, meaning in CHARTS:
        found = bins(figures[column].drop_nulls(), smallest)
        charts.append(
            tag(
                "figure",
                tag("h3", title),
                bar_chart(found, title=title, unit=unit),
                tag("figcaption", f"{meaning} {describe(found, unit).capitalize()}."),
            )
        )
    return join(
        tag("p", "How many usable clips have which value; a bar begins at the number under its left edge."),
        tag("div", *charts, class_="charts"),
        tag("p", POSE),
    )


def _contact_sheets(sheets: list[Html], figures: pl.DataFrame) -> Html:
    if not len(figures):
        return tag("p", "No usable clip, so no crop to show.")
    if not sheets:
        return tag("p", "Left out: the report was asked for no clips.")
    return join(
        tag("p", RANK),
        tag(
            "p",
            "Three frames of each clip: from its beginning, middle and end. Sizes, scores and angles are medians.",
        ),
        legend(DLIB18),
        *sheets,
        tag("p", "These are people's faces: pass this page on only as the dataset's licence allows."),
    )


def _provenance(info: CacheInfo) -> Html:
    return page.fact_tables(
        {
            "Settings": {
                **info.settings,
                "settings hash": info.settings_hash,
                "key-points": info.keypoint_set,
            },
            "Versions": {"cache format": info.format_version, **info.versions},
            "Model files (sha256)": info.models,
        }
    )
