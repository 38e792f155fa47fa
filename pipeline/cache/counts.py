"""Counts of a clips table."""

import polars as pl

from dfer.schemas.cache import OK, PERSON, STATUSES


def count_clips(clips: pl.DataFrame) -> dict[str, int]:
    """Count clips in total and by status, people if several were followed, kept frames, and frames with a face.

    clips: a clips table with a row for each person
    """
    people = {"people": len(clips.filter(status=OK))} if PERSON in clips.columns else {}
    clips = own_rows(clips)
    by_status = dict(clips["status"].value_counts().iter_rows())
    return {
        "clips": len(clips),
        **people,
        **{status: by_status.get(status, 0) for status in STATUSES},
        "frames": int(clips["frames"].sum()),
        "frames_with_face": int(clips["frames_with_face"].sum()),
    }


def own_rows(clips: pl.DataFrame) -> pl.DataFrame:
    """The rows of the clips themselves, without those of further people in them."""
    return clips.filter(pl.col(PERSON) == 1) if PERSON in clips.columns else clips


def are_stills(clips: pl.DataFrame) -> bool:
    """Whether there are usable clips and each has one frame, so that numbers of frames say nothing."""
    frames = clips.filter(status=OK)["frames"]
    return len(frames) > 0 and bool((frames == 1).all())
