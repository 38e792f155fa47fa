"""The manifest: one row a clip of a dataset, before anything is decoded."""

import polars as pl

VIDEO = "video"
FRAME_FOLDER = "frames"
MISSING = "missing"  # a list names the clip, the disk does not hold it

KINDS = (VIDEO, FRAME_FOLDER, MISSING)

MANIFEST_SCHEMA = pl.Schema(
    {
        "clip_id": pl.String,  # unique within the dataset
        "path": pl.String,  # relative to the dataset's folder, with forward slashes
        "kind": pl.String,  # one of KINDS
        "label": pl.String,  # the class by name; null where the dataset gives none
        "split": pl.String,  # train, val or test; null where there is no official split
        "fold": pl.Int32,  # the fold whose test part the clip belongs to; it is trained on in all others
        "subject": pl.String,
        "scene": pl.String,
        "scene_group": pl.String,  # into which the dataset sorts its scenes
        "intensity": pl.String,  # of the expression, as the dataset grades it
        # Only where `fold` cannot say it (then it is null): all folds in whose test and training part the clip is.
        "test_folds": pl.List(pl.Int32),
        "train_folds": pl.List(pl.Int32),
        "bytes": pl.Int64,  # of a video file as it was found: another size is another clip; null for a folder
    }
)


def fold_numbers(clips: pl.DataFrame) -> list[int]:
    """All folds that test a clip of a manifest or clips table."""
    several = clips["test_folds"].drop_nulls().explode().drop_nulls()
    return pl.concat([clips["fold"].drop_nulls(), several]).unique().sort().to_list()


def is_tested(fold: int) -> pl.Expr:
    """Which clips of a manifest or clips table a fold tests."""
    return ((pl.col("fold") == fold) | pl.col("test_folds").list.contains(fold)).fill_null(False)


def is_trained(fold: int) -> pl.Expr:
    """Which clips a fold trains on: those with another `fold`, else as their list says. Never one that it tests.

    A clip with neither a fold nor lists is in no part of any.
    """
    return ((pl.col("fold") != fold) | pl.col("train_folds").list.contains(fold)).fill_null(False)
