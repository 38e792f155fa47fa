"""Read what a video's container says about its frames. At most the first one is decoded."""

import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dfer.pipeline.video.display import Display, is_damaged, pixel_aspect, read_display
from dfer.pipeline.video.sources import NO_VIDEO_STREAM, DecodeError

SHORTAGE_TOLERANCE_S = 0.1  # in addition to the last frame's duration, which packets may not state
FAST = {"skip_loop_filter": "all", "skip_idct": "all"}  # for a frame whose pixels are not used
AS_STORED = struct.pack(
    ">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30
)  # an MP4's matrix of an upright track
TRACK_HEADER_BYTES = 100
INTERLACED = (2, 3, 4, 5)  # FFmpeg's orders of the two fields of a frame
# Codecs whose headers do not say whether a video is interlaced; their frames do.
SAID_BY_FRAMES = ("mpeg2video", "mpeg4", "dvvideo")


@dataclass(frozen=True, kw_only=True)
class Packets:
    """The packets of a file's video track.

    times: (n,) seconds from the first, sorted; when its shown frames are due, NaN where a packet does not say
    stated: the frame count in the header, 0 where there is none (FLV, Matroska); without frames that an MP4 hides
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

    display: how its frames are shown, None where no frame that states it can be decoded
    oddities: what a user should know about it, in fixed words
    usual: whether FFmpeg chooses this track where nobody asks for one
    """

    packets: Packets
    display: Display | None
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
            look = stream.codec_context.name in SAID_BY_FRAMES or _may_be_turned(path, container.format.name)
            for packet in container.demux(stream) if stream.frames else container.demux():
                if packet.pts is not None:
                    end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
                if packet.stream_index != stream.index:
                    continue
                if packet.size and packet.is_discard:
                    discarded += 1
                elif packet.size:
                    shown.append(np.nan if packet.pts is None else float(packet.pts * packet.time_base))
                    if look and not first and packet.is_keyframe:
                        first = _decode_alone(packet)
            stated, due = _stated_frames(container, stream), (container.duration or 0) / av.time_base
            display = None if look and not first else read_display(first, stream)
            oddities = describe_oddities(container, stream, first)
    except (
        av.FFmpegError,
        TypeError,
        OSError,
        IndexError,
    ):  # IndexError: PyAV's, of a stream that begins late
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

    frame: one of it, None where none was decoded
    """
    found = []
    if (tracks := len(_moving(container))) > 1:
        found.append(f"one of {tracks} video tracks was read")
    if stream.codec_context.field_order in INTERLACED or (frame and frame.interlaced_frame):
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


def _stated_frames(container: Any, stream: Any) -> int:
    """Return the frame count in the header; of an MP4, without the frames that its edit list cuts off."""
    if "mp4" not in container.format.name:
        return stream.frames
    return min(stream.frames, len(stream.index_entries))


def _moving(container: Any) -> list[Any]:
    """The video streams of a file that are not pictures, such as the cover of a song or the preview of a film."""
    from av.stream import Disposition

    pictures = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
    return [s for s in container.streams.video if s.codec_context and not s.disposition & pictures]


def _may_be_turned(path: Path, container_format: str) -> bool:
    """Whether a frame may be shown in another way than it is stored, as far as that costs no time to see.

    Matroska's headers have no fixed place; other formats have no display matrix.
    """
    if "mp4" not in container_format:
        return "matroska" in container_format
    content = _movie_header(path)
    ends = [found.end() for found in re.finditer(b"tkhd", content)]
    return not ends or any(AS_STORED not in content[end : end + TRACK_HEADER_BYTES] for end in ends)


def _movie_header(path: Path) -> bytes:
    """Return an MP4's box `moov`, which contains the header of each track; empty where there is none."""
    start, end = 0, path.stat().st_size
    with path.open("rb") as file:
        while start < end:
            file.seek(start)
            size, kind, long_size = struct.unpack(">I4sQ", file.read(16).ljust(16, b"\0"))
            size = long_size if size == 1 else size
            if kind == b"moov":
                file.seek(start)
                return file.read(min(size, end - start))
            start += max(size, 8) if size else end
    return b""


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
