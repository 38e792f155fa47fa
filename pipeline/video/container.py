"""Read what a video's container says about its frames. Only the first one is decoded."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dfer.pipeline.video.display import Display, is_damaged, pixel_aspect, read_display
from dfer.pipeline.video.sources import DecodeError

NO_VIDEO_STREAM = "no video stream in the file (audio only?)"
SHORTAGE_TOLERANCE_S = 0.1  # in addition to the last frame's duration, which packets may not state
# Only to read how the first frame is shown; its pixels are not used.
FAST = {"skip_loop_filter": "all", "skip_idct": "all"}


@dataclass(frozen=True, kw_only=True)
class Packets:
    """The packets of a file's video track.

    times: (n,) seconds from the first, sorted; when its shown frames are due, NaN where a packet does not say
    stated: the frame count in the header, 0 where there is none (FLV, Matroska)
    discarded: packets that are decoded but not shown
    missing_s: seconds that the header's duration exceeds the last packet of any stream (sound may be longer
        than the pictures), 0 where the header states a frame count
    """

    times: np.ndarray
    stated: int
    discarded: int
    missing_s: float


@dataclass(frozen=True, kw_only=True)
class VideoTrack:
    """The track of a file that players show.

    display: how its frames are shown
    oddities: what a user should know about it, in fixed words
    usual: whether FFmpeg chooses this track where nobody asks for one
    """

    packets: Packets
    display: Display
    oddities: tuple[str, ...]
    usual: bool


def read_track(path: Path) -> VideoTrack | None:
    """Read the video track of a file; None where its packets cannot be read. Raises DecodeError if it has none."""
    import av

    shown, discarded, end, first = [], 0, 0.0, None
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            stream, usual = choose_stream(container), container.streams.best("video")
            stream.thread_type, stream.codec_context.options = "NONE", FAST
            for packet in container.demux(stream) if stream.frames else container.demux():
                if packet.pts is not None:
                    end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
                if packet.stream_index != stream.index:
                    continue
                if packet.size and packet.is_discard:
                    discarded += 1
                elif packet.size:
                    shown.append(np.nan if packet.pts is None else float(packet.pts * packet.time_base))
                    first = first or (_decode_alone(packet) if packet.is_keyframe else None)
            stated, due = stream.frames, (container.duration or 0) / av.time_base
            display = read_display(first, stream) if first else Display()
            oddities = describe_oddities(container, stream, first)
    except (av.FFmpegError, TypeError, OSError):
        return None
    times = np.sort(np.array(shown, float))
    missing = 0 if stated else max(due - end, 0)
    packets = Packets(times=times - times[:1], stated=stated, discarded=discarded, missing_s=missing)
    return VideoTrack(packets=packets, display=display, oddities=oddities, usual=usual is stream)


def choose_stream(container: Any) -> Any:
    """Return the video stream that players show: the default one, of them the largest, but rather not a single frame.

    Raises DecodeError where there is none, or none but pictures.
    """
    from av.stream import Disposition

    def rank(stream: Any) -> tuple[bool, bool, int]:
        default = bool(stream.disposition & Disposition.default)
        return stream.frames != 1, default, stream.width * stream.height

    moving = _moving(container)
    if not moving:
        raise DecodeError(NO_VIDEO_STREAM)
    return max(moving, key=rank)


def describe_oddities(container: Any, stream: Any, frame: Any | None) -> tuple[str, ...]:
    """Say what is odd about the chosen stream, in fixed words.

    frame: one of it, None where none can be decoded
    """
    found = []
    if (tracks := len(_moving(container))) > 1:
        found.append(f"one of {tracks} video tracks was read")
    if frame and frame.interlaced_frame:
        found.append("the video is interlaced: a frame mixes two moments")
    if is_damaged(pixel_aspect(stream)):
        found.append("the pixel aspect ratio is damaged and was ignored")
    return tuple(found)


def describe_damage(packets: Packets | None) -> str:
    """Say whether the container is damaged or ends before its header says; empty where neither."""
    if packets is None:
        return "the container is damaged: its packets cannot be read"
    found = len(packets.times) + packets.discarded
    if packets.stated > found:
        return f"the file is cut off: it has {found} of the {packets.stated} frames in its header"
    longest_frame = np.diff(packets.times[np.isfinite(packets.times)]).max(initial=0)
    if packets.missing_s > longest_frame + SHORTAGE_TOLERANCE_S:
        return f"the file is cut off: its last {packets.missing_s:.2f} s are missing"
    return ""


def _moving(container: Any) -> list[Any]:
    """The video streams of a file that are not pictures, such as the cover of a song or the preview of a film."""
    from av.stream import Disposition

    pictures = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
    return [s for s in container.streams.video if s.codec_context and not s.disposition & pictures]


def _decode_alone(packet: Any) -> Any | None:
    """Decode a key frame without its successors, which may come first in some codecs; None where it is damaged."""
    import av

    context = packet.stream.codec_context
    try:
        frames = [*context.decode(packet), *context.decode(None)]
        return frames[0] if frames else None
    except av.FFmpegError:
        return None
    finally:
        context.flush_buffers()
