"""The manifest: one row per clip of a dataset, before anything is decoded."""

import polars as pl

VIDEO = "video"
FRAME_FOLDER = "frames"
IMAGE = "image"  # a still: an image file, or a row of a CSV of pixels (its path is fer2013.csv/000012, rows from 0)
MISSING = "missing"  # listed by the dataset, but not on disk

KINDS = (VIDEO, FRAME_FOLDER, IMAGE, MISSING)

MANIFEST_SCHEMA = pl.Schema(
    {
        "clip_id": pl.String,  # unique within the dataset
        "path": pl.String,  # relative to the dataset's folder, with forward slashes
        "kind": pl.String,  # one of KINDS
        "label": pl.String,  # name of the class; null if the dataset gives none
        "split": pl.String,  # train, val or test; null without an official split
        "fold": pl.Int32,  # the fold that tests the clip; all other folds train on it
        "subject": pl.String,
        "scene": pl.String,
        "scene_group": pl.String,  # the dataset's own groups of scenes
        "intensity": pl.String,  # of the expression, as graded by the dataset
        # Used instead of `fold` (then null) if a clip is tested by several folds or not trained on by all others.
        "test_folds": pl.List(pl.Int32),
        "train_folds": pl.List(pl.Int32),
        "bytes": pl.Int64,  # size of a video file (a change makes it another clip); null for a folder
    }
)


def fold_numbers(clips: pl.DataFrame) -> list[int]:
    """List the folds that test any clip of a manifest or clips table."""
    several = clips["test_folds"].drop_nulls().explode().drop_nulls()
    return pl.concat([clips["fold"].drop_nulls(), several]).unique().sort().to_list()


def is_tested(fold: int) -> pl.Expr:
    """Select the clips of a manifest or clips table that a fold tests."""
    return ((pl.col("fold") == fold) | pl.col("test_folds").list.contains(fold)).fill_null(False)


def is_trained(fold: int) -> pl.Expr:
    """Select the clips that a fold trains on: those with another `fold`, or with this one in `train_folds`.

    A clip without a fold and without lists belongs to neither part.
    """
    return ((pl.col("fold") != fold) | pl.col("train_folds").list.contains(fold)).fill_null(False)
