"""`train live`: a camera, or a file at its own speed, and what a model sees in its last seconds."""

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dfer.schemas.support.errors import UserError
from dfer.schemas.support.text import counted
from dfer.train.use.extraction import Watch, settings_for
from dfer.train.use.model import Model

if TYPE_CHECKING:
    from dfer.pipeline import Seen
    from dfer.pipeline.live.follow import LiveFace

RATE_OVER = 2.0  # seconds over which the frame rate is measured
SHORTEST, LONGEST = 0.1, 60.0  # seconds, of a window
DIGITS = 9  # of a camera's number, which OpenCV takes as 32 bits
SHOWN = 30  # characters of a wrong number


@dataclass(frozen=True, kw_only=True)
class LiveAnswer:
    """What a model says of the last seconds.

    seconds: of the stream, at the newest frame that it saw
    predicted: the most probable class; None if no face was there
    probabilities: of each class, in the model's order, sum 1; None if no face was there
    faces: frames with a face in the window
    delay: seconds from when the newest frame came to when the answer was there
    """

    seconds: float
    predicted: str | None
    probabilities: dict[str, float] | None
    faces: int
    delay: float


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A frame, and the newest answer.

    seen: the frame and the face in it
    answer: None before the first one
    fresh: whether the answer is another one than with the frame before
    rate: frames that are searched a second, over the last two seconds
    """

    seen: "Seen"
    answer: LiveAnswer | None
    fresh: bool
    rate: float


def source_of(given: str) -> int | Path:
    """The camera or the video that a text names. Raises UserError for what is neither."""
    if not given:
        raise UserError("the SOURCE is empty; give a video, or a camera's number (0 is the first)")
    if given.isascii() and given.isdecimal():
        if len(given) > DIGITS:
            raise UserError(f"no camera has so large a number: {given[:SHOWN]}; 0 is the first")
        return int(given)
    if "://" in given and not Path(given).exists():
        raise UserError(f"{given}: addresses are not opened; download the video first, and give its file")
    return Path(given)


def live(
    model: Model,
    source: int | Path,
    *,
    window: float = 2.0,
    frames_show: str | None = None,
    watch: Watch | None = None,
) -> Iterator[Moment]:
    """Predict what happens in front of a camera. Close the iterator to end it.

    source: a camera's number, or a video that is played at its own speed
    window: seconds that an answer is about, 0.1–60
    frames_show: `scene` or `face`, if the frames show something else than the training clips
    watch: functions to call with notes

    Yields a moment for each frame that was searched. An answer is computed next to that, and the next one starts
    when it is there, from what is then the newest frame: nothing is queued. At the end the last frame comes again,
    with the answer that was still computed.
    Raises UserError if the source cannot be read.
    """
    from dfer.pipeline import FaceStream

    if not SHORTEST <= window <= LONGEST:
        raise UserError(f"--window {window:g}: must be between {SHORTEST:g} and {LONGEST:g} s")
    if isinstance(source, Path) and not source.is_file():
        what = f"{source} is a folder" if source.is_dir() else f"no such video: {source}"
        raise UserError(f"{what}; give a file, or a camera's number (0 is the first)")
    config = settings_for(model, frames_show, watch or Watch())
    seen_at: deque[float] = deque()
    faces: deque[LiveFace] = deque()
    pending: Future[LiveAnswer] | None = None
    answer, fresh, last, end = None, False, None, None
    with FaceStream(source, config, keypoints=model.keypoints) as stream, ThreadPoolExecutor(1) as pool:
        while True:
            try:
                seen = stream.next()
            except (EOFError, UserError) as error:
                end = error
                break
            if pending and pending.done():
                answer, fresh, pending = pending.result(), True, None
            if seen is None:
                continue
            last = seen
            _remember(seen, faces, seen_at, window)
            if not pending:
                pending = pool.submit(_answer, model, tuple(faces), seen)
            yield Moment(seen=seen, answer=answer, fresh=fresh, rate=_rate(seen_at))
            fresh = False
        if pending:
            yield Moment(seen=last, answer=pending.result(), fresh=True, rate=_rate(seen_at))
    if isinstance(end, UserError):
        raise end


def _remember(seen: "Seen", faces: deque["LiveFace"], seen_at: deque[float], window: float) -> None:
    """Add a frame, and forget what is too old."""
    if seen.face:
        faces.append(seen.face)
    while faces and faces[0].seconds <= seen.frame.seconds - window:
        faces.popleft()
    seen_at.append(seen.frame.at)
    while seen_at[-1] - seen_at[0] > RATE_OVER:
        seen_at.popleft()


def _rate(seen_at: deque[float]) -> float:
    passed = seen_at[-1] - seen_at[0]
    return (len(seen_at) - 1) / passed if passed > 0 else 0.0


def _answer(model: Model, faces: tuple["LiveFace", ...], newest: "Seen") -> LiveAnswer:
    shares = model.probabilities_of(faces).tolist() if faces else None
    return LiveAnswer(
        seconds=newest.frame.seconds,
        predicted=model.labels[int(np.argmax(shares))] if shares else None,
        probabilities=dict(zip(model.labels, shares, strict=True)) if shares else None,
        faces=len(faces),
        delay=time.monotonic() - newest.frame.at,
    )


@dataclass
class Pace:
    """How well it kept up, over a stream.

    frames, dropped: that were searched, and that were not
    answers: how many there were
    longest: seconds between two answers, at most
    delay: seconds, the sum over all answers
    first, last, answered: when the first, the last and the last answered frame came
    """

    frames: int = 0
    answers: int = 0
    longest: float = 0.0
    delay: float = 0.0
    dropped: int = 0
    first: float = 0.0
    last: float = 0.0
    answered: float = 0.0

    def note(self, moment: Moment) -> None:
        """Count a moment."""
        now = moment.seen.frame.at
        self.first = self.first or now
        again = now == self.last  # the last frame, with the last answer
        self.frames, self.last, self.dropped = self.frames + (not again), now, moment.seen.frame.dropped
        if moment.fresh:
            if self.answers:
                self.longest = max(self.longest, now - self.answered)
            self.answers, self.answered = self.answers + 1, now
            self.delay += moment.answer.delay

    def text(self) -> str:
        """All of it in a line."""
        passed = self.last - self.first
        frames, answers = counted(self.frames, "frame"), counted(self.answers, "answer")
        if not self.answers:
            return f"{frames}, no answer"
        pace = f"{passed:.1f} s: {(self.frames - 1) / passed:.1f} frames/s searched" if passed else frames
        apart = f", at most {self.longest:.2f} s apart" if self.answers > 1 else ""
        return (
            f"{pace}, {self.dropped} dropped; {answers}{apart}; mean delay {self.delay / self.answers:.2f} s"
        )
