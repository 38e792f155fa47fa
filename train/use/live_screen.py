"""Where `train live` shows what it sees: a window, a folder of pictures, lines of text."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import click
import numpy as np

from dfer.schemas.keypoints import KeypointSet
from dfer.schemas.support.commands import printable
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.files import write_atomic
from dfer.schemas.support.text import counted
from dfer.train.use.live import Moment
from dfer.train.use.over_time.face_track import FaceTrack
from dfer.train.use.over_time.overlay import Overlay
from dfer.train.use.over_time.timeline import Timeline
from dfer.train.use.prediction import Prediction

TITLE = "train live (q ends)"
KEYS = (ord("q"), 27)  # 27: Esc
TRY = "import cv2; cv2.namedWindow('train live')"
DISPLAY_SECONDS = 20
LINE_EVERY = 0.5  # seconds
QUALITY = 90  # of the JPEGs

Show = Callable[[np.ndarray, Moment], bool]  # shows a frame; returns whether to go on


def has_display(note: Callable[[str], None]) -> bool:
    """Whether a window can be opened. note: called with a line where there should be a display, but is none

    Qt ends the process where it cannot reach the display, so another one tries it first.
    """
    display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if sys.platform == "darwin" or not display:
        return sys.platform == "darwin"
    with suppress(subprocess.TimeoutExpired):
        tried = subprocess.run(
            [sys.executable, "-P", "-c", TRY], capture_output=True, timeout=DISPLAY_SECONDS, check=False
        )
        if not tried.returncode:
            return True
    note(f"the display {display} cannot be opened, so there is no window")
    return False


def drawn(moment: Moment, keypoints: KeypointSet) -> np.ndarray:
    """The frame (H, W, 3) uint8 with face, key-points and answer drawn in; as it is where no face is."""
    seen, answer = moment.seen, moment.answer
    if seen.face is None or answer is None:
        return seen.frame.pixels
    face = FaceTrack(
        times=np.zeros(1),
        boxes=seen.face.box[None],
        keypoints=seen.face.keypoints[None],
        keypoint_set=keypoints,
        crop_keypoints=seen.face.crop_keypoints[None],
        detected=np.ones(1, bool),
        crops=(),
    )
    said = Prediction(
        clip="live",
        path=None,
        status="ok",
        start_s=0.0,
        end_s=0.0,
        predicted=answer.predicted,
        probabilities=answer.probabilities,
        face=face,
    )
    timeline = Timeline(clip="live", person=None, predictions=(said,))
    return Overlay([timeline]).draw(seen.frame.pixels, 0.0)


def in_window() -> Show:
    """Open a window; return a function that shows a frame there. q, Esc and closing the window end it."""
    import cv2

    os.environ.setdefault("QT_LOGGING_RULES", "default.warning=false")  # of fonts that OpenCV does not bring
    cv2.namedWindow(TITLE, cv2.WINDOW_AUTOSIZE | cv2.WINDOW_GUI_NORMAL)

    def show(picture: np.ndarray, _moment: Moment) -> bool:
        cv2.imshow(TITLE, picture[..., ::-1])
        pressed = cv2.waitKey(1) & 0xFF
        return pressed not in KEYS and cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) >= 1

    return show


class IntoFolder:
    """Writes each frame as a JPEG, named by its time. It makes the folder with the first one."""

    def __init__(self, folder: Path) -> None:
        """Raises UserError for a folder with files, or what is no folder and cannot become one."""
        self._folder, self._names = folder, set()
        there = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
        if not there.is_dir():
            what = "a link that leads nowhere" if not there.exists() else "a file"
            raise UserError(f"--out {folder}: {there} is {what}; give a new folder")
        try:
            if folder.exists() and any(folder.iterdir()):
                raise UserError(f"--out {folder} is not empty; give a new folder")
        except OSError as error:
            raise self._refusal(error) from None

    def show(self, picture: np.ndarray, moment: Moment) -> bool:
        """Write a frame. Raises UserError if it cannot be written."""
        import simplejpeg

        jpeg = simplejpeg.encode_jpeg(np.ascontiguousarray(picture), quality=QUALITY, colorspace="RGB")
        name = f"{moment.seen.frame.seconds:010.3f}.jpg"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomic(self._folder / name, jpeg)
        except OSError as error:
            raise self._refusal(error) from None
        self._names.add(name)
        return True

    @property
    def frames(self) -> int:
        """How many were written."""
        return len(self._names)

    @property
    def line(self) -> str:
        """What was written, for a person."""
        return f"wrote {counted(self.frames, 'frame')} to {self._folder}"

    def _refusal(self, error: OSError) -> UserError:
        return UserError(f"--out {self._folder}: {error.strerror}; give a folder that you can write")


class Lines:
    """Prints an answer every half second, or each as JSON."""

    def __init__(self, as_json: bool) -> None:
        self._json, self._last = as_json, -LINE_EVERY

    def show(self, _picture: np.ndarray, moment: Moment) -> bool:
        if not moment.fresh:
            return True
        answer, dropped = moment.answer, moment.seen.frame.dropped
        if self._json:
            fields = {**vars(answer), "frames_per_second": moment.rate, "dropped": dropped}
            click.echo(json.dumps(fields, ensure_ascii=False))
        elif answer.seconds - self._last >= LINE_EVERY:
            self._last = answer.seconds
            said = "no face"
            if answer.predicted:
                said = f"{printable(answer.predicted)} {100 * answer.probabilities[answer.predicted]:.0f} %"
            pace = f"{moment.rate:.1f} frames/s, delay {answer.delay:.2f} s, {dropped} dropped"
            click.echo(f"{answer.seconds:7.1f} s  {said:<20}  {pace}")
        return True
