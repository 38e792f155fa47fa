"""Cut a clip's frames into consecutive segments of one length."""

import math


def segment_frames(frames: int, segments: int) -> list[list[int]]:
    """Choose the frames of each segment, in order. Together the segments take every frame.

    frames: N, frames of the clip
    segments: their number

    Returns `segments` lists of ceil(N / segments) frame numbers. Neighbours share frames where N is not a multiple;
    with fewer frames than segments, neighbours are the same.
    """
    length = math.ceil(frames / segments)
    last = frames - length  # first frame of the last segment
    starts = [round(last * number / max(segments - 1, 1)) for number in range(segments)]
    return [list(range(start, start + length)) for start in starts]
