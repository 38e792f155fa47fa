"""Decode video files: decord reads the sampled frames, PyAV the files that decord gets wrong.

decord seeks to the frames that are wanted. This is fast, but returns wrong frames where a container's time stamps
are out of order or frames are marked to be discarded. So its frame count and times are compared with the
container's packets (a few milliseconds, at most one frame is decoded). Where they differ, all frames are decoded in
order.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dfer.pipeline.records import SourceFacts
from dfer.pipeline.video.container import (
    VideoTrack,
    choose_stream,
    describe_damage,
    read_track,
)
from dfer.pipeline.video.display import Display, read_display
from dfer.pipeline.video.not_videos import describe_other_content
from dfer.pipeline.video.sources import NO_VIDEO_STREAM, DecodeError, Source
from dfer.schemas.support.text import counted

TIME_TOLERANCE_S = 0.002
ATTEMPTS = 4  # to decode a frame
NOT_A_VIDEO = "not a readable video file"


def ways_to_open(path: Path) -> Iterator[Callable[[], Source]]:
    """Yield functions that open a video file, the best first; each raises DecodeError where it cannot.

    Seeking is refused where it would return wrong frames. The second way then gives the reason in its warning.
    """
    try:
        if other := describe_other_content(path):
            raise DecodeError(other)
        track = read_track(path)
    except DecodeError as error:
        text = str(error)
        yield lambda: _refuse(text)
        return
    notes = (describe_damage(track and track.packets), *(track.oddities if track else ()))
    reason = "the decoder cannot decode the file"

    def for_seeking() -> Source:
        nonlocal reason
        try:
            return SeekingVideo(path, track, warning=_join(*notes))
        except WrongFramesError as error:
            reason = str(error)
            raise

    def in_order() -> Source:
        return SequentialVideo(path, _join(*notes, reason, "all frames were decoded in order"))

    yield for_seeking
    yield in_order


class WrongFramesError(DecodeError):
    """Seeking would return wrong frames. The text says how they differ from the container's."""


class SeekingVideo:
    """A video file or GIF, decoded by decord in one thread.

    decord applies rotation in the metadata; what else `track` says about how frames are shown is done here.
    """

    def __init__(self, path: Path, track: VideoTrack | None = None, warning: str = "") -> None:
        """Open it. Raises WrongFramesError where the frames are not those of `track`, None if it is not known."""
        self._path, self._display = path, (track and track.display) or Display()
        try:
            self._reader = self._open()
            # Before any frame is decoded: from then on decord decodes in the background, up to gigabytes.
            mismatch = self.mismatch(track) if track else ""
            height, width, channels = (0, 0, 0) if mismatch else self._reader[0].shape
        except Exception as error:
            raise DecodeError(_reason(error)) from error
        if mismatch:
            raise WrongFramesError(mismatch)
        # decord 3.4 takes padding for pixels in videos 16 or 48 pixels wide, with AVX-512 also 96 or 144.
        if channels != 3:
            raise DecodeError("the decoder misreads frames of this width")
        frames, fps = len(self._reader), float(self._reader.get_avg_fps())
        width, height = self._display.square_size(width, height)
        self.facts = SourceFacts(
            frames=frames,
            fps=fps if fps > 0 else None,
            duration_s=frames / fps if fps > 0 else None,
            width=width,
            height=height,
            warning=warning or None,
        )

    def mismatch(self, track: VideoTrack) -> str:
        """Say how decord's frames differ from the container's; empty where they agree."""
        packets = track.packets
        if not track.usual:
            return "the decoder reads another video track"
        if not track.display:
            return "its first frame cannot be decoded"
        times = np.array(self._reader.get_frame_timestamp(range(len(self._reader))), float)[:, 0]
        if len(times) != len(packets.times):
            return f"the container has {len(packets.times)} frames, the decoder counts {len(times)}"
        if unknown := int(np.isnan(packets.times).sum()):
            return (
                f"{unknown} of {len(packets.times)} frames {'has' if unknown == 1 else 'have'} no time stamp"
            )
        if not np.allclose(times - times[0], packets.times, rtol=0, atol=TIME_TOLERANCE_S):
            return "the decoder's frame times differ from the container's"
        return ""

    def read(self, positions: Sequence[int]) -> Iterator[np.ndarray]:
        for position in positions:
            yield self._display.picture_of_turned(self._decode(position))

    def times(self, positions: Sequence[int]) -> list[float]:
        starts = self._reader.get_frame_timestamp(list(positions))[:, 0]
        return [float(t) for t in starts]

    def _open(self) -> Any:
        import decord

        decord.logging.set_level(decord.logging.QUIET)
        return decord.VideoReader(str(self._path), num_threads=1)

    def _decode(self, position: int) -> np.ndarray:
        # decord's threads race after a seek: it then rejects sound data of some videos. A new reader mostly does not.
        reason = ""
        for attempt in range(ATTEMPTS):
            try:
                if attempt:
                    self._reader = self._open()
                return self._reader[position].asnumpy()
            except Exception as error:
                # Only the text is kept: the error itself would keep the reader open.
                self._reader, reason = None, _reason(error)
        raise DecodeError(f"decoding stops early: {reason}")


class SequentialVideo:
    """A video file decoded in order by PyAV: slower than SeekingVideo, but right where seeking is not.

    Opening it decodes the file once, without converting any frame, because a damaged or contradictory container
    does not give the true number of frames. Each `read` decodes up to the last frame wanted.
    """

    def __init__(self, path: Path, warning: str) -> None:
        self._path = path
        self._average_rate: float | None = None
        self._display: Display | None = None
        self._rejected = 0
        stamps: list[float | None] = []
        try:
            for frame in self._decode():
                stamps.append(frame.time)
        except DecodeError:
            if not stamps:  # otherwise use the frames before the damage
                raise
        if not stamps:
            raise DecodeError("no frame of the video can be decoded")
        rejected = f"{counted(self._rejected, 'frame')} could not be decoded" if self._rejected else ""
        rate = self._average_rate
        self._times = frame_times(stamps, rate)
        width, height = self._display.size(frame.width, frame.height)
        self.facts = SourceFacts(
            frames=len(stamps),
            fps=rate,
            duration_s=len(stamps) / rate if rate else None,
            width=width,
            height=height,
            warning=_join(rejected, warning),
        )

    def read(self, positions: Sequence[int]) -> Iterator[np.ndarray]:
        wanted = set(positions)
        # The range comes first: when it ends, `zip` does not ask the decoder for another frame.
        for number, frame in zip(range(max(wanted, default=-1) + 1), self._decode(), strict=False):
            if number in wanted:
                yield self._display.picture(frame.to_ndarray(format="rgb24"))

    def times(self, positions: Sequence[int]) -> list[float] | None:
        return [self._times[p] for p in positions] if self._times else None

    def _decode(self) -> Iterator:
        """Yield PyAV's frames. Raises DecodeError where decoding stops early."""
        import av

        try:
            with av.open(str(self._path), metadata_errors="replace") as container:
                stream = choose_stream(container)
                stream.thread_type = "NONE"
                self._average_rate = float(stream.average_rate) if stream.average_rate else None
                for packet in container.demux(stream):
                    for frame in self._decode_packet(packet):
                        self._display = self._display or read_display(frame, stream)
                        yield frame
        except (av.FFmpegError, OSError, ValueError, IndexError) as error:
            raise DecodeError(NOT_A_VIDEO) from error

    def _decode_packet(self, packet: Any) -> list:
        """Decode a packet. One that is damaged gives no frame; those after it may be fine."""
        import av

        try:
            return packet.decode()
        except av.InvalidDataError:
            self._rejected += 1
            return []


def frame_times(stamps: Sequence[float | None], rate: float | None) -> list[float] | None:
    """Compute when frames are shown, in seconds from the first one; None if the source gives neither.

    stamps: the container's time stamp of each decoded frame, seconds, None where it has none
    rate: frames per second, None where unknown

    Frames are decoded in the order in which they are shown, so stamps out of order (H.264 in AVI) are sorted.
    A missing stamp is interpolated between its neighbours, or extrapolated at either end: at the frame rate, or else
    at the median distance of the others.
    """
    numbers = np.arange(len(stamps))
    known = np.array([i for i, stamp in enumerate(stamps) if stamp is not None], int)
    if not len(known):
        return (numbers / rate).tolist() if rate else None
    seconds = np.sort([stamps[i] for i in known])
    times = np.interp(numbers, known, seconds)
    beyond = np.minimum(numbers - known[0], 0) + np.maximum(numbers - known[-1], 0)
    distance = 1 / rate if rate else np.median(np.diff(seconds) / np.diff(known)) if len(known) > 1 else 0
    times += beyond * distance
    return (times - times[0]).tolist()


def _refuse(reason: str) -> Source:
    raise DecodeError(reason)


def _join(*notes: str) -> str:
    return "; ".join(filter(None, notes))


def _reason(error: Exception) -> str:
    """Put decord's error in fixed words, without paths and addresses."""
    text = str(error)
    if "cannot find video stream" in text:
        return NO_VIDEO_STREAM
    if "Error sending packet" in text:
        return "the decoder rejects the video data"
    return NOT_A_VIDEO
