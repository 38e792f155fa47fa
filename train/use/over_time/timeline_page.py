"""Emotions over time as an HTML page, in the style of `train report`."""

import io
from collections import Counter
from collections.abc import Sequence

from dfer.schemas.html import page
from dfer.schemas.html.markup import Html, join, tag
from dfer.schemas.html.overlay import keypoint_overlay
from dfer.schemas.html.page import Origin, key_figures, picture
from dfer.schemas.support.text import counted
from dfer.train.use.over_time.timeline import Timeline, shown_crops, timeline_png
from dfer.train.use.over_time.windows import Windows

PAGE_CROPS = 16  # shown of a clip
ORIGIN = Origin(command="train predict", content="over-time")


def timeline_page(
    found: Sequence[Timeline], labels: Sequence[str], windows: Windows, run: str, refused: int
) -> bytes:
    """Make the page, as UTF-8.

    labels: all classes of the model, in its order
    run: what the model is called
    refused: clips without an answer, which the page does not show
    """
    seconds = {each.predictions[0].path or each.clip: each.end for each in found}  # of each clip
    overview = key_figures(
        [
            ("clips", str(len(seconds))),
            *([("people", str(len(found)))] if any(each.person for each in found) else []),
            ("seconds", f"{sum(seconds.values()):.1f}"),
            ("window", f"{windows.seconds:g} s every {windows.step:g} s"),
            ("model", run),
        ]
    )
    if refused:
        overview = join(overview, tag("p", f"No answer for {counted(refused, 'clip')}."))
    name = found[0].clip if len(seconds) == 1 else counted(len(seconds), "clip")
    sections = {"Over time": join(*(clip_figure(each, labels) for each in found))}
    return page.document("Emotions over time", name, overview, sections, origin=ORIGIN)


def clip_figure(timeline: Timeline, labels: Sequence[str]) -> Html:
    """A clip's chart, and crops of the face with its key-points.

    labels: all classes of the model, in its order
    """
    count = len(timeline.predictions)
    windows = Counter(each.predicted or "no face" for each in timeline.predictions)
    most = ", ".join(f"{label} {100 * number / count:.0f} %" for label, number in windows.most_common())
    chart = timeline_png([timeline], labels, crops=False)
    return tag(
        "figure",
        tag("h3", _mark(timeline.colour), timeline.name),
        picture(chart, f"probability of each class over time; predicted: {most} of the windows"),
        tag("div", *(_crop(timeline, *place) for place in _places(timeline)), class_="film"),
        tag("figcaption", f"{most} of {counted(count, 'window')}"),
    )


def _mark(colour: str | None) -> Html | None:
    """A dot in a person's colour."""
    if colour is None:
        return None
    dot = tag("circle", cx=5, cy=5, r=5, fill=colour)
    return join(tag("svg", dot, viewBox="0 0 10 10", width=12, height=12, aria_hidden="true"), " ")


def _places(timeline: Timeline) -> list[tuple[float, int]]:
    return shown_crops(timeline.face, timeline.end, min(PAGE_CROPS, 8 * -(-len(timeline.face.crops) // 8)))


def _crop(timeline: Timeline, seconds: float, frame: int) -> Html:
    from PIL import Image

    face, label = timeline.face, timeline.at(seconds).predicted
    seen = "" if face.detected[frame] else ", no face found"
    alt = f"the face at {face.times[frame]:.1f} s{seen}; predicted: {label or 'nothing'}"
    note = tag("span", f"{face.times[frame]:.1f} s", class_="note")
    side = Image.open(io.BytesIO(face.crops[frame])).width
    points = tag("div", "no face", class_="flag")  # its key-points are carried over from other frames
    if face.detected[frame]:
        points = keypoint_overlay(face.keypoint_set, face.crop_keypoints[frame], side)
    return tag("div", tag("div", picture(face.crops[frame], alt, "jpeg"), points, class_="crop"), note)
