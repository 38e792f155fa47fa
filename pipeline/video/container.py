"""Read what a video's container says about its frames, without decoding any."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

SHORTAGE_TOLERANCE_S = 0.1  # in addition to the last frame's duration, which packets may not state


@dataclass(frozen=True, kw_only=True)
class Packets:
    """The packets of a file's video stream.

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


def read_packets(path: Path) -> Packets | None:
    """Read the packets of a file's video stream; None where they cannot be read."""
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
