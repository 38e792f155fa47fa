"""Video files: decord reads the sampled frames; PyAV says what the container holds, and reads what decord cannot.

decord jumps to the frames that are wanted, which is fast and goes wrong where a container's timestamps are
reordered or frames are to be discarded. So its frame count and times are compared with the container's packets
(some milliseconds, nothing is decoded), and where they differ every frame is decoded in order instead.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dfer.pipeline.records import SourceFacts
from dfer.pipeline.video.sources import DecodeError, Source

TIME_TOLERANCE_S = 0.002
SHORTAGE_TOLERANCE_S = 0.1  # beside the last frame's own time, which no packet may tell


@dataclass(frozen=True, kw_only=True)
class Packets:
    """What a container says without being decoded.

    times: (n,) seconds, when its shown frames are due, ascending from the first; stated: the frame count in its
    header, 0 where there is none (FLV, Matroska); discarded: packets that are decoded and not shown.
    missing_s: seconds that its header says beyond the last packet of any stream (sound may outlast the pictures),
    0 where frames are stated.
    """

    times: np.ndarray
    stated: int
    discarded: int
    missing_s: float


def ways_to_read(path: Path) -> Iterator[Callable[[], Source]]:
    """The ways to read a video file, the best first; opening one raises DecodeError where it cannot be read.

    Jumping refuses a file in which it would land on wrong frames; the second way then says so in its warning.
    """
    if path.stat().st_size == 0:
        raise DecodeError("the file is empty (0 bytes)")
    packets = read_packets(path)
    shortage = _shortage(packets)
    reason = "decord cannot decode it"

    def jump() -> Source:
        nonlocal reason
        video = Video(path, shortage)
        if contradiction := packets and video.contradiction(packets):
            reason = contradiction
            raise DecodeError(f"jumping would give wrong frames: {contradiction}")
        return video

    yield jump
    warning = "; ".join(filter(None, (shortage, reason, "every frame was decoded in order")))
    yield lambda: SequentialVideo(path, warning)


def read_packets(path: Path) -> Packets | None:
    """The packets of a file's video stream; None where they cannot be read."""
    import av

    shown, discarded, end = [], 0, 0.0
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            stream = container.streams.video[0]
            for packet in container.demux(stream) if stream.frames else container.demux():
                if packet.pts is not None:
                    end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
                if packet.stream_index != stream.index:
                    continue
                if packet.size and packet.is_discard:
                    discarded += 1
                elif packet.size:
                    shown.append(np.nan if packet.pts is None else float(packet.pts * packet.time_base))
            stated, due = stream.frames, (container.duration or 0) / av.time_base
    except (av.FFmpegError, IndexError, TypeError, OSError):
        return None
    times = np.sort(np.array(shown, float))
    missing = 0 if stated else max(due - end, 0)
    return Packets(times=times - times[:1], stated=stated, discarded=discarded, missing_s=missing)


class Video:
    """A video file or GIF, decoded by decord in one thread; rotation in the metadata is applied."""

    def __init__(self, path: Path, warning: str = "") -> None:
        import decord

        decord.logging.set_level(decord.logging.QUIET)
        try:
            self._reader = decord.VideoReader(str(path), num_threads=1)
            height, width, channels = self._reader[0].shape
        except Exception as error:
            raise DecodeError(_reason(error)) from error
        if channels != 3:  # decord 3.4 takes padding for pixels in some narrow videos (16, 48, 96, 144 pixels wide)
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

    def contradiction(self, packets: Packets) -> str:
        """How the frames that decord counts differ from the container's; empty where they agree."""
        times = np.array(self._reader.get_frame_timestamp(range(len(self._reader))), float)[:, 0]
        if len(times) != len(packets.times):
            return f"the container shows {len(packets.times)} frames, the decoder counts {len(times)}"
        if unstamped := int(np.isnan(packets.times).sum()):
            return f"the container gives no time stamp for {unstamped} of {len(packets.times)} frames"
        if not np.allclose(times - times[0], packets.times, rtol=0, atol=TIME_TOLERANCE_S):
            return "the decoder's times of the frames are not the container's"
        return ""

    def read(self, positions: Sequence[int]) -> Iterator[np.ndarray]:
        for position in positions:
            try:
                yield self._reader[position].asnumpy()
            except Exception as error:
                raise DecodeError(f"decoding stops early: {_reason(error)}") from error

    def times(self, positions: Sequence[int]) -> list[float | None]:
        starts = self._reader.get_frame_timestamp(list(positions))[:, 0]
        return [float(t) for t in starts]


class SequentialVideo:
    """A video file decoded in order by PyAV: slower than `Video`, and right where seeking is not.

    Opening it decodes the file once without converting a frame, because a damaged or contradictory container
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
            if not stamps:  # else the frames up to the damage can be used
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
        if not positions:
            return
        wanted = set(positions)
        # The range comes first: when it ends, `zip` does not ask the decoder for another frame.
        for number, frame in zip(range(max(wanted) + 1), self._decode(), strict=False):
            if number in wanted:
                upright = np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)
                yield np.ascontiguousarray(upright)

    def times(self, positions: Sequence[int]) -> list[float | None]:
        return [self._times[p] for p in positions] if self._times else [None] * len(positions)

    def _decode(self) -> Iterator:
        """The decoded frames. Raises DecodeError where they end early."""
        import av

        try:
            with av.open(str(self._path), metadata_errors="replace") as container:
                stream = container.streams.video[0]
                stream.thread_type = "NONE"
                self._average_rate = float(stream.average_rate) if stream.average_rate else None
                yield from container.decode(stream)
        except IndexError:
            raise DecodeError("no video stream in the file (audio only?)") from None
        except (av.FFmpegError, OSError, ValueError) as error:
            raise DecodeError("not a video that the decoder can read") from error


def frame_times(stamps: Sequence[float | None], rate: float | None) -> list[float] | None:
    """When frames are shown, in seconds from the first one; None where nothing says when.

    stamps: the container's time stamp of each decoded frame, seconds, None where it has none
    rate: frames per second, None where unknown

    Frames are decoded in the order in which they are shown, so stamps out of order (H.264 in AVI) are sorted.
    A missing stamp is interpolated between its neighbours, and extrapolated at the frame rate at either end.
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


def _shortage(packets: Packets | None) -> str:
    """Whether the file holds less than its header says."""
    if packets is None:
        return "the container is damaged: its packets cannot be listed"
    there = len(packets.times) + packets.discarded
    if packets.stated > there:
        return f"the header says {packets.stated} frames, {there} are there: the file is cut off"
    longest_frame = np.diff(packets.times[np.isfinite(packets.times)]).max(initial=0)
    if packets.missing_s > longest_frame + SHORTAGE_TOLERANCE_S:
        return f"the last {packets.missing_s:.2f} s that the header says are not there: the file is cut off"
    return ""


def _reason(error: Exception) -> str:
    text = str(error)
    if "cannot find video stream" in text:
        return "no video stream in the file (audio only?)"
    if "Error sending packet" in text:
        return "the decoder refuses the video's data"
    return "not a video that the decoder can read"
