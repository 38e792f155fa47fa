"""Counts of a clips table."""

import polars as pl

from dfer.schemas.cache import OK, STATUSES


def count_clips(clips: pl.DataFrame) -> dict[str, int]:
    """Count clips in total and by status, kept frames, and frames with a face."""
    by_status = dict(clips["status"].value_counts().iter_rows())
    return {
        "clips": len(clips),
        **{status: by_status.get(status, 0) for status in STATUSES},
        "frames": int(clips["frames"].sum()),
        "frames_with_face": int(clips["frames_with_face"].sum()),
    }


def are_stills(clips: pl.DataFrame) -> bool:
    """Whether there are usable clips and each has one frame, so that numbers of frames say nothing."""
    frames = clips.filter(status=OK)["frames"]
    return len(frames) > 0 and bool((frames == 1).all())
