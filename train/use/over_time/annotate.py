"""A video again as MP4, with what the model sees in it drawn in, and its sound."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from dfer.schemas.support.errors import UserError
from dfer.schemas.support.files import atomic_file
from dfer.train.use.extraction import Watch
from dfer.train.use.over_time.overlay import Overlay
from dfer.train.use.over_time.timeline import Timeline

CODEC, QUALITY = "libx264", "20"  # H.264, which every browser plays; the quality is x264's rate factor
CLOCK = Fraction(1, 90_000)  # seconds; fine enough for the frames of any rate
PLAYED = ("aac", "mp3", "opus", "flac")  # sound that browsers play in an MP4, so it is copied as it is


def annotate_video(path: Path, people: Sequence[Timeline], target: Path, watch: Watch) -> None:
    """Draw a clip's answers into its video.

    path: the video
    people: its answers for each person
    target: the MP4 to write; it gets its name only when it is complete

    Raises UserError if the video cannot be decoded or encoded, OSError if the target cannot be written.
    """
    import av

    overlay = Overlay(people)
    try:
        with (
            av.open(str(path), metadata_errors="replace") as source,
            atomic_file(target) as file,
            av.open(file, "w", format="mp4") as out,
        ):
            _write(source, out, overlay, watch)
    except av.FFmpegError as error:
        raise UserError(
            f"{path}: drawing into it failed ({error.strerror or error}); no video is written"
        ) from None


def _write(source: Any, out: Any, overlay: Overlay, watch: Watch) -> None:
    from dfer.pipeline.video.container import choose_stream

    video, sound = choose_stream(source), source.streams.best("audio")
    watch.on_clips("drawing frames", video.frames or _estimated_frames(source, video))
    stream = out.add_stream(
        CODEC, rate=video.average_rate or 25, options={"crf": QUALITY, "preset": "veryfast"}
    )
    stream.pix_fmt, stream.time_base = "yuv420p", CLOCK
    stream.codec_context.time_base = CLOCK
    track = Sound(sound, out) if sound is not None else None
    start: float | None = None
    held: list[Any] = []  # sound from before the first frame
    last = -1
    for packet, frame, shown in _pictures(source, video, sound):
        if frame is None:
            held.append(packet)
        else:
            start = frame.time if start is None else start
            seconds = frame.time - start
            picture = _even(overlay.draw(shown, seconds))
            if last < 0:
                stream.width, stream.height = picture.shape[1::-1]
            stamp = round(seconds / CLOCK)
            if stamp > last:
                out.mux(stream.encode(_encoded(picture, stamp)))
                last = stamp
            watch.on_done(1, 0)
        if start is not None and track:
            for each in held:
                track.write(each, start)
            held = []
    out.mux(stream.encode(None))
    if track:
        track.finish()


def _estimated_frames(source: Any, video: Any) -> int:
    """How many frames a video has by its length, 0 if unknown: Matroska does not count them."""
    import av

    return round((source.duration or 0) / av.time_base * (video.average_rate or 0))


def _pictures(
    source: Any, video: Any, sound: Any | None
) -> Iterator[tuple[Any, Any | None, np.ndarray | None]]:
    """Each frame of a video as players show it, and the packets of its sound: (packet, None, None)."""
    import av

    from dfer.pipeline.video.display import read_display

    display = None
    video.thread_type = "AUTO"
    for packet in source.demux([stream for stream in (video, sound) if stream is not None]):
        if packet.stream is not video:
            yield packet, None, None
            continue
        try:
            frames = packet.decode()
        except av.InvalidDataError:
            continue  # as the extraction does
        for frame in frames:
            display = display or read_display(frame, video)
            if frame.time is not None:
                yield packet, frame, display.picture(frame.to_ndarray(format="rgb24"))


def _even(picture: np.ndarray) -> np.ndarray:
    """Repeat the last row or column where there is an odd number: H.264 stores colours for 2×2 pixels."""
    height, width, _ = picture.shape
    return np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _encoded(picture: np.ndarray, stamp: int) -> Any:
    import av

    frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
    frame.pts, frame.time_base = stamp, CLOCK
    return frame


class Sound:
    """The sound of a video on its way into another file: copied where browsers play it, otherwise encoded as AAC."""

    def __init__(self, source: Any, out: Any) -> None:
        self._out, self._copied = out, source.codec_context.codec.canonical_name in PLAYED
        if self._copied:
            self._stream = out.add_stream_from_template(source)
        else:
            self._stream = out.add_stream("aac", rate=source.rate or 44_100)

    def write(self, packet: Any, start: float) -> None:
        """Write a packet of the source. start: seconds at which the first picture is shown"""
        if self._copied:
            if packet.dts is None:
                return  # the empty packet at the end
            shift = round(start / packet.time_base)
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            packet.stream = self._stream
            self._out.mux(packet)
            return
        for frame in packet.decode():
            frame.pts = frame.pts and round(frame.pts - start / frame.time_base)
            self._out.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Write what the encoder still has."""
        if not self._copied:
            self._out.mux(self._stream.encode(None))
