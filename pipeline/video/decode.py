"""Decode video files: decord reads the sampled frames, PyAV the files that decord gets wrong.

decord seeks to the frames that are wanted. This is fast, but returns wrong frames where a container's time stamps
are out of order or frames are marked to be discarded. So its frame count and times are compared with the
container's packets (a few milliseconds, nothing is decoded). Where they differ, all frames are decoded in order.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from dfer.pipeline.records import SourceFacts
from dfer.pipeline.video.container import Packets, describe_damage, read_packets
from dfer.pipeline.video.sources import EMPTY_FILE, NO_VIDEO_STREAM, DecodeError, Source

TIME_TOLERANCE_S = 0.002
NOT_A_VIDEO = "not a readable video file"


def ways_to_open(path: Path) -> Iterator[Callable[[], Source]]:
    """Yield functions that open a video file, the best first; each raises DecodeError where it cannot.

    Seeking is refused where it would return wrong frames. The second way then gives the reason in its warning.
    """
    packets = read_packets(path)
    damage = describe_damage(packets)
    reason = "decord cannot decode the file"

    def for_seeking() -> Source:
        nonlocal reason
        if path.stat().st_size == 0:
            raise DecodeError(EMPTY_FILE)
        video = SeekingVideo(path, damage)
        if mismatch := packets and video.mismatch(packets):
            reason = mismatch
            raise DecodeError(f"seeking would return wrong frames: {mismatch}")
        return video

    def in_order() -> Source:
        return SequentialVideo(
            path, "; ".join(filter(None, (damage, reason, "all frames were decoded in order")))
        )

    yield for_seeking
    yield in_order


class SeekingVideo:
    """A video file or GIF, decoded by decord in one thread; rotation in the metadata is applied."""

    def __init__(self, path: Path, warning: str = "") -> None:
        import decord

        decord.logging.set_level(decord.logging.QUIET)
        try:
            self._reader = decord.VideoReader(str(path), num_threads=1)
            height, width, channels = self._reader[0].shape
        except Exception as error:
            raise DecodeError(_reason(error)) from error
        if (
            channels != 3
        ):  # decord 3.4 takes padding for pixels in some narrow videos (16, 48, 96, 144 pixels wide)
            raise DecodeError("decord misreads frames of this width")
        frames, fps = len(self._reader), float(self._reader.get_avg_fps())
        self.facts = SourceFacts(
            frames=frames,
            fps=fps if fps > 0 else None,
            duration_s=frames / fps if fps > 0 else None,
            width=width,
            height=height,
            warning=warning or None,
        )

    def mismatch(self, packets: Packets) -> str:
        """Say how decord's frames differ from the container's; empty where they agree."""
        times = np.array(self._reader.get_frame_timestamp(range(len(self._reader))), float)[:, 0]
        if len(times) != len(packets.times):
            return f"the container has {len(packets.times)} frames, decord counts {len(times)}"
        if unknown := int(np.isnan(packets.times).sum()):
            return f"{unknown} of {len(packets.times)} frames have no time stamp"
        if not np.allclose(times - times[0], packets.times, rtol=0, atol=TIME_TOLERANCE_S):
            return "decord's frame times differ from the container's"
        return ""

    def read(self, positions: Sequence[int]) -> Iterator[np.ndarray]:
        for position in positions:
            try:
                yield self._reader[position].asnumpy()
            except Exception as error:
                raise DecodeError(f"decoding stops early: {_reason(error)}") from error

    def times(self, positions: Sequence[int]) -> list[float]:
        starts = self._reader.get_frame_timestamp(list(positions))[:, 0]
        return [float(t) for t in starts]


class SequentialVideo:
    """A video file decoded in order by PyAV: slower than SeekingVideo, but right where seeking is not.

    Opening it decodes the file once, without converting any frame, because a damaged or contradictory container
    does not give the true number of frames. Each `read` decodes up to the last frame wanted.
    """

    def __init__(self, path: Path, warning: str) -> None:
        self._path = path
        self._average_rate: float | None = None
        stamps: list[float | None] = []
        try:
            for frame in self._decode():
                stamps.append(frame.time)
        except DecodeError:
            if not stamps:  # otherwise use the frames before the damage
                raise
        if not stamps:
            raise DecodeError("no frame of the video can be decoded")
        turned = frame.rotation % 180 != 0
        rate = self._average_rate
        self._times = frame_times(stamps, rate)
        self.facts = SourceFacts(
            frames=len(stamps),
            fps=rate,
            duration_s=len(stamps) / rate if rate else None,
            width=frame.height if turned else frame.width,
            height=frame.width if turned else frame.height,
            warning=warning,
        )

    def read(self, positions: Sequence[int]) -> Iterator[np.ndarray]:
        wanted = set(positions)
        # The range comes first: when it ends, `zip` does not ask the decoder for another frame.
        for number, frame in zip(range(max(wanted, default=-1) + 1), self._decode(), strict=False):
            if number in wanted:
                upright = np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)
                yield np.ascontiguousarray(upright)

    def times(self, positions: Sequence[int]) -> list[float] | None:
        return [self._times[p] for p in positions] if self._times else None

    def _decode(self) -> Iterator:
        """Yield PyAV's frames. Raises DecodeError where decoding stops early."""
        import av

        try:
            with av.open(str(self._path), metadata_errors="replace") as container:
                stream = container.streams.video[0]
                stream.thread_type = "NONE"
                self._average_rate = float(stream.average_rate) if stream.average_rate else None
                yield from container.decode(stream)
        except IndexError:
            raise DecodeError(NO_VIDEO_STREAM) from None
        except (av.FFmpegError, OSError, ValueError) as error:
            raise DecodeError(NOT_A_VIDEO) from error


def frame_times(stamps: Sequence[float | None], rate: float | None) -> list[float] | None:
    """Compute when frames are shown, in seconds from the first one; None if the source gives neither.

    stamps: the container's time stamp of each decoded frame, seconds, None where it has none
    rate: frames per second, None where unknown

    Frames are decoded in the order in which they are shown, so stamps out of order (H.264 in AVI) are sorted.
    A missing stamp is interpolated between its neighbours, or extrapolated at the frame rate at either end.
    """
    numbers = np.arange(len(stamps))
    known = np.array([i for i, stamp in enumerate(stamps) if stamp is not None], int)
    if not len(known):
        return (numbers / rate).tolist() if rate else None
    seconds = np.sort([stamps[i] for i in known])
    times = np.interp(numbers, known, seconds)
    beyond = np.minimum(numbers - known[0], 0) + np.maximum(numbers - known[-1], 0)
    times += beyond / rate if rate else 0
    return (times - times[0]).tolist()


def _reason(error: Exception) -> str:
    """Put decord's error in fixed words, without paths and addresses."""
    text = str(error)
    if "cannot find video stream" in text:
        return NO_VIDEO_STREAM
    if "Error sending packet" in text:
        return "the decoder rejects the video data"
    return NOT_A_VIDEO
