"""Counts of a clips table."""

import polars as pl

from dfer.schemas.cache import STATUSES


def count_clips(clips: pl.DataFrame) -> dict[str, int]:
    """Count clips in total and by status, kept frames, and frames with a face."""
    by_status = dict(clips["status"].value_counts().iter_rows())
    return {
        "clips": len(clips),
        **{status: by_status.get(status, 0) for status in STATUSES},
        "frames": int(clips["frames"].sum()),
        "frames_with_face": int(clips["frames_with_face"].sum()),
    }
