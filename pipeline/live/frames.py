"""The newest frame of a camera, or of a file that is played at its own speed. Frames nobody takes are dropped."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dfer.schemas.support.errors import UserError

Camera = int  # its number
OVERDUE = 0.1  # seconds


@dataclass(frozen=True, kw_only=True)
class LiveFrame:
    """A frame as it came.

    seconds: since the first frame
    at: when it came, `time.monotonic`
    pixels: (H, W, 3) uint8, RGB, as it is shown
    dropped: frames that nobody took, since the first
    """

    seconds: float
    at: float
    pixels: np.ndarray
    dropped: int


class NewestFrame:
    """Plays a source in a thread, and has its newest frame."""

    def __init__(self, source: Camera | Path) -> None:
        self._source = source
        self._frame: LiveFrame | None = None
        self._taken = True
        self._dropped = 0
        self._error: Exception | None = None
        self._ended = False
        self._changed = threading.Condition()
        threading.Thread(target=self._play, daemon=True).start()

    def take(self) -> LiveFrame | None:
        """Wait for a frame that was not taken yet; None at the end. Raises UserError if the source cannot be read.

        Whatever else goes wrong while it is played is raised here too.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._ended or not self._taken)
            if not self._taken:
                self._taken = True
                return self._frame
        if self._error:
            raise self._error
        return None

    def _play(self) -> None:
        try:
            frames = _camera(self._source) if isinstance(self._source, int) else _file(self._source)
            for seconds, pixels in frames:
                with self._changed:
                    self._dropped += pixels is None or not self._taken
                    if pixels is None:
                        continue
                    self._frame = LiveFrame(
                        seconds=seconds, at=time.monotonic(), pixels=pixels, dropped=self._dropped
                    )
                    self._taken = False
                    self._changed.notify_all()
        except Exception as error:
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()


def _camera(number: int) -> Iterator[tuple[float, np.ndarray]]:
    """Seconds and pixels of each frame of a camera. Raises UserError if it cannot be opened, or goes away."""
    import cv2

    try:
        camera = cv2.VideoCapture(number)
    except cv2.error:  # the number is too large for it
        camera = None
    if not (camera and camera.isOpened()):
        raise UserError(f"camera {number} cannot be opened; is it plugged in, and used by no other program?")
    start = time.monotonic()
    while True:
        read, pixels = camera.read()
        if not read:
            raise UserError(f"camera {number} gives no more frames")
        yield time.monotonic() - start, np.ascontiguousarray(pixels[..., ::-1])


def _file(path: Path) -> Iterator[tuple[float, np.ndarray | None]]:
    """Seconds and pixels of each frame of a video, each given when it is due.

    Raises UserError if it is no video, or where it is damaged.

    Where decoding falls behind, an overdue frame has no pixels: the time goes to later ones.
    """
    import av

    from dfer.pipeline.video.container import choose_stream
    from dfer.pipeline.video.display import read_display
    from dfer.pipeline.video.not_videos import describe_other_content
    from dfer.pipeline.video.sources import STILL_IMAGE, DecodeError

    display = first = start = None
    seconds = 0.0
    try:
        if other := describe_other_content(path):
            what = STILL_IMAGE if other.startswith(STILL_IMAGE) else other.removeprefix("the file is ")
            raise UserError(f"{path}: it is {what}")
        with av.open(str(path), metadata_errors="replace") as source:
            stream = choose_stream(source)
            stream.thread_type = "AUTO"
            for frame in source.decode(stream):
                if frame.time is None:
                    continue
                if first is None:
                    display, first, start = read_display(frame, stream), frame.time, time.monotonic()
                seconds = frame.time - first
                early = start + seconds - time.monotonic()
                time.sleep(max(0.0, early))
                overdue = early < -OVERDUE
                yield seconds, None if overdue else display.picture(frame.to_ndarray(format="rgb24"))
    except (av.FFmpegError, DecodeError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        fault = "it cannot be played" if start is None else f"it is damaged from {seconds:.1f} s on"
        raise UserError(f"{path}: {fault} ({reason})") from None
