"""A video to what the page shows of it. It runs in the worker process."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from dfer.schemas.cache import UNDECODABLE
from dfer.schemas.html.markup import Html, join, tag
from dfer.train.use.extraction import Watch
from dfer.train.use.over_time.timeline import Timeline, timelines
from dfer.train.use.over_time.timeline_page import clip_figure
from dfer.train.use.over_time.windows import DRAWN, Windows, describe_short
from dfer.train.use.predict import Predictor
from dfer.train.use.serve.limits import PICTURE, Limits, RefusedError
from dfer.train.use.serve.served import Served

WINDOWS = Windows(seconds=DRAWN)
Tell = Callable[[Mapping[str, object]], None]


def answer_video(
    predictor: Predictor, video: Path, name: str, served: Served, limits: Limits, tell: Tell
) -> Html:
    """Predict the windows of a video, and draw them, one person after the other.

    name: to show
    served: how to predict
    tell: called with what is done: `doing`, `of` and `done`

    Raises RefusedError if there is nothing to show, UserError if this machine cannot extract.
    """
    limits.refuse_long(video_seconds(video))
    found = predictor.predict(
        video,
        windows=WINDOWS,
        faces=True,
        workers=1,
        frames_show=served.frames_show,
        people=served.people,
        watch=_watch(tell),
    )
    drawn = [dataclasses.replace(each, clip=name) for each in timelines(found)]
    if not drawn:
        reason = next((each.reason for each in found if each.reason), "its frames have no times")
        damaged = any(each.status == UNDECODABLE for each in found)
        to_do = " It may be cut off or damaged; copy or download it again." if damaged else ""
        raise RefusedError(f"No answer for this video: {reason}.{to_do}")
    limits.refuse_long(max(each.end for each in drawn))
    return join(*(part for each in drawn for part in _parts(each, predictor)))


def video_seconds(video: Path) -> float:
    """How long a video is by its packets, before anything is decoded; 0 where they cannot be read.

    Raises RefusedError for what is not a video.
    """
    from dfer.pipeline.video.container import read_track
    from dfer.pipeline.video.not_videos import describe_other_content
    from dfer.pipeline.video.sources import STILL_IMAGE, DecodeError

    if other := describe_other_content(video).partition("; ")[0]:  # what to do is for files on one's own disk
        raise RefusedError(PICTURE if other == STILL_IMAGE else f"This is {other}; choose the video itself.")
    try:
        track = read_track(video)
    except DecodeError as error:
        raise RefusedError(f"This is not a video: {error}.") from None
    times = track.packets.times if track else np.zeros(0)
    return float(np.nanmax(times, initial=0.0))


def _parts(timeline: Timeline, predictor: Predictor) -> Iterator[Html]:
    """What the page shows of a person."""
    yield clip_figure(timeline, predictor.labels)
    short = describe_short(timeline.end, len(timeline.face.times), WINDOWS, predictor.model.num_frames)
    for doubt in filter(None, (timeline.predictions[0].warning, short)):
        yield tag("p", f"{doubt[0].upper()}{doubt[1:]}.", class_="warning")
    yield _shares(timeline, predictor)


def _shares(timeline: Timeline, predictor: Predictor) -> Html:
    """A table of the mean probability of each class, the largest first."""
    means = {label: float(np.nanmean(timeline.shares(label))) for label in predictor.labels}
    rows = (
        tag("tr", tag("th", label, scope="row"), tag("td", f"{100 * share:.1f} %"), tag("td", _bar(share)))
        for label, share in sorted(means.items(), key=lambda pair: -pair[1])
    )
    return tag(
        "table",
        tag("caption", "Mean probability in the windows with a face"),
        tag("tbody", *rows),
        class_="shares",
    )


def _bar(share: float) -> Html:
    return tag(
        "svg",
        tag("rect", width=f"{100 * share:.1f}", height=8),
        viewBox="0 0 100 8",
        preserveAspectRatio="none",
        class_="rate",
        aria_hidden="true",
    )


def _watch(tell: Tell) -> Watch:
    doing, of, done = "", 0, 0

    def on_clips(word: str, clips: int) -> None:
        nonlocal doing, of, done
        doing, of, done = word, clips, 0
        tell({"doing": doing, "of": of, "done": done})

    def on_done(clips: int, _unusable: int) -> None:
        nonlocal done
        done += clips
        tell({"doing": doing, "of": of, "done": done})

    return Watch(on_clips=on_clips, on_done=on_done)
