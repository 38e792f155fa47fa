"""Windows of consecutive frames of a clip."""

import math


def windows(frames: int, count: int, length: int) -> list[list[int]]:
    """Place windows over a clip, the first at its start, the last at its end, at even distances.

    frames: N, frames of the clip
    count: number of windows; a single one is in the middle
    length: frames of each, at most N

    Returns the numbers of the frames of each window.
    """
    last = frames - length  # first frame of the last window
    starts = [round(last * i / (count - 1)) for i in range(count)] if count > 1 else [last // 2]
    return [[*range(start, start + length)] for start in starts]


def segment_frames(frames: int, segments: int) -> list[list[int]]:
    """Cut a clip into segments of one length that together take every frame.

    frames: N, frames of the clip
    segments: their number

    Returns `segments` lists of ceil(N / segments) frame numbers. Neighbours share frames where N is not a multiple;
    with fewer frames than segments, neighbours are the same.
    """
    return windows(frames, segments, math.ceil(frames / segments))
