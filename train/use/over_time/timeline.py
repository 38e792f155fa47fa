"""Emotions over time as a picture: a line for each class, the predicted class as a band, crops of the face below."""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from dfer.train.results.plots import WIDTH, plain_text, png
from dfer.train.use.over_time.face_track import FaceTrack
from dfer.train.use.prediction import Prediction

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CROPS = 8  # shown of a clip
DASHES = ("-", "--", "-.", ":")  # in print, lines differ by more than their colours
MOST_CLIPS = 6  # in a PNG
CLIP_HEIGHT, LEGEND_HEIGHT, BARE_SIZE = (
    3.6,
    0.8,
    (4.2, 2.6),
)  # inches; a page scales the bare chart down on a phone
THUMBNAIL = 0.48  # inches
PEOPLE = (
    "#e69f00",
    "#56b4e9",
    "#009e73",
    "#cc79a7",
    "#f0e442",
    "#d55e00",
)  # colours, clear on video and on paper
NARROW = 0.09  # share of the axis from which a band has room for a word


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """A person in a clip over time, W windows.

    clip: its id
    person: which of the people in it, from 1; None if there is only one
    predictions: of its windows, in order; some have no answer
    """

    clip: str
    person: int | None
    predictions: tuple[Prediction, ...]

    @property
    def name(self) -> str:
        return self.clip if self.person is None else f"{self.clip}, person {self.person}"

    @property
    def colour(self) -> str | None:
        """The person's, if there are several."""
        return None if self.person is None else PEOPLE[(self.person - 1) % len(PEOPLE)]

    @property
    def face(self) -> FaceTrack:
        return self.predictions[0].face

    @property
    def middles(self) -> np.ndarray:
        """Of the windows (W,), seconds."""
        return np.array([(each.start_s + each.end_s) / 2 for each in self.predictions])

    @property
    def edges(self) -> np.ndarray:
        """The seconds for which each window stands (W, 2): half a step around its middle, to the ends of the clip."""
        first, last = self.predictions[0].start_s, self.predictions[-1].end_s
        return np.stack([[first, *self._changes], [*self._changes, last]], 1)

    @property
    def end(self) -> float:
        """Seconds."""
        return self.predictions[-1].end_s

    def shares(self, label: str) -> np.ndarray:
        """The probability of a class in each window (W,), 0–1, NaN where there is no answer."""
        return np.array([(each.probabilities or {}).get(label, np.nan) for each in self.predictions])

    def at(self, seconds: float) -> Prediction:
        """The window that stands for a moment."""
        return self.predictions[int(np.searchsorted(self._changes, seconds, side="right"))]

    @property
    def _changes(self) -> np.ndarray:
        """When the next window stands for the clip (W − 1,), seconds."""
        return (self.middles[1:] + self.middles[:-1]) / 2


def timelines(predictions: Iterable[Prediction]) -> list[Timeline]:
    """Group the windows of each person in each clip whose times are known. predictions: with faces"""
    known = [each for each in predictions if each.face and each.start_s is not None]
    several = {each.source for each in known if each.person > 1}
    found = []
    for (source, person), windows in groupby(known, lambda each: (each.source, each.person)):
        of_clip = tuple(windows)
        if any(each.probabilities for each in of_clip):
            shown = person if source in several else None
            found.append(Timeline(clip=of_clip[0].clip, person=shown, predictions=of_clip))
    return found


def shown_crops(face: FaceTrack, end: float, count: int = CROPS) -> list[tuple[float, int]]:
    """Moments evenly through a clip, and the number of the kept frame nearest to each."""
    moments = (np.arange(count) + 0.5) * end / count
    return [(float(t), int(np.abs(face.times - t).argmin())) for t in moments]


def timeline_png(found: Sequence[Timeline], labels: Sequence[str], *, crops: bool = True) -> bytes:
    """Plot clips one below the other.

    labels: all classes of the model, in its order
    crops: whether to show crops of the face, and each clip's name
    """
    from matplotlib.figure import Figure

    width, height = (WIDTH, CLIP_HEIGHT) if crops else BARE_SIZE
    figure = Figure(figsize=(width, height * len(found) + LEGEND_HEIGHT), layout="constrained")
    rows = (6, 1, 1.7) if crops else (6, 1)
    parts = figure.subfigures(len(found), squeeze=False)[:, 0]
    for part, timeline in zip(parts, found, strict=True):
        axes = part.subplots(len(rows), sharex=True, gridspec_kw={"height_ratios": rows, "hspace": 0.02})
        lines = _draw_lines(axes[0], timeline, labels)
        _draw_band(axes[1], timeline, labels)
        if crops:
            axes[0].set_title(plain_text(timeline.name), fontsize=10)
            _draw_crops(axes[2], timeline)
        axes[-1].set_xlabel("seconds (lines: at the middle of each window)")
        axes[-1].set_xlim(0, timeline.end)
    figure.legend(handles=lines, loc="outside lower center", ncols=3, fontsize=9, frameon=False)
    return png(figure)


def _colour(number: int) -> tuple:
    import matplotlib

    colours = matplotlib.colormaps["tab10"]
    return colours(number % colours.N)


def _draw_lines(axes: "Axes", timeline: Timeline, labels: Sequence[str]) -> list:
    """A line for each class; grey where no face was found. Returns the lines."""
    middles = timeline.middles
    lines = []
    for number, label in enumerate(labels):
        style = {"color": _colour(number), "ls": DASHES[number % len(DASHES)], "clip_on": False}
        mark = "o" if len(middles) < 3 else ""
        lines += axes.plot(
            middles, 100 * timeline.shares(label), marker=mark, label=plain_text(label), **style
        )
    for start, until in without_face(timeline.face):
        end = min(until, timeline.end)
        axes.axvspan(start, end, color="#9aa3ad", alpha=0.3, lw=0)
        if end - start > NARROW * 2 * timeline.end:
            axes.text((start + end) / 2, 96, "no face found", ha="center", va="top", fontsize=8)
    axes.set_ylim(0, 100)
    axes.set_ylabel("probability, %")
    axes.grid(alpha=0.3)
    return lines


def without_face(face: FaceTrack) -> list[tuple[float, float]]:
    """The stretches of time in which the face was not found, seconds; each up to the next frame that shows it."""
    found, start = [], None
    for seconds, detected in zip(face.times.tolist(), face.detected.tolist(), strict=True):
        if detected and start is not None:
            found.append((start, seconds))
            start = None
        elif not detected and start is None:
            start = seconds
    return [*found, (start, float("inf"))] if start is not None else found


def _draw_band(axes: "Axes", timeline: Timeline, labels: Sequence[str]) -> None:
    """The predicted class, named where there is room."""
    pairs = zip(timeline.predictions, timeline.edges.tolist(), strict=True)
    for label, stretch in groupby(pairs, lambda pair: pair[0].predicted):
        if label is None:
            continue
        places = [place for _, place in stretch]
        start, end = places[0][0], places[-1][1]
        axes.axvspan(start, end, color=_colour(labels.index(label)), alpha=0.55, lw=0)
        if end - start > NARROW * timeline.end * max(1.0, len(label) / 5):
            axes.text((start + end) / 2, 0.5, plain_text(label), ha="center", va="center", fontsize=9)
    axes.set_yticks([])
    axes.set_ylim(0, 1)


def _draw_crops(axes: "Axes", timeline: Timeline) -> None:
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage
    from PIL import Image

    for seconds, frame in shown_crops(timeline.face, timeline.end):
        pixels = np.asarray(Image.open(io.BytesIO(timeline.face.crops[frame])).convert("RGB"))
        picture = OffsetImage(pixels, zoom=72 * THUMBNAIL / len(pixels))
        edge = {"edgecolor": timeline.colour, "linewidth": 2}
        box = AnnotationBbox(
            picture, (seconds, 0.5), frameon=timeline.colour is not None, pad=0, bboxprops=edge
        )
        box.set_in_layout(False)
        axes.add_artist(box)
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    for side in ("top", "left", "right"):
        axes.spines[side].set_visible(False)
