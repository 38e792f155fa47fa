"""The manifest: one row a clip of a dataset, before anything is decoded."""

import polars as pl

VIDEO = "video"
FRAME_FOLDER = "frames"

MANIFEST_SCHEMA = pl.Schema(
    {
        "clip_id": pl.String,  # unique within the dataset
        "path": pl.String,  # relative to the dataset's folder, with forward slashes
        "kind": pl.String,  # VIDEO or FRAME_FOLDER
        "label": pl.String,  # the class by name; null where the dataset gives none
        "split": pl.String,  # train, val or test; null where there is no official split
        "fold": pl.Int32,  # the fold whose test part the clip belongs to
        "subject": pl.String,
        "scene": pl.String,
        "bytes": pl.Int64,  # of a video file as it was found: another size is another clip; null for a folder
    }
)
