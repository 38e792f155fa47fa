"""Which of the clips that a table lists are on disk."""

import polars as pl
import pytest
import trees

from dfer.data_manifest.datasets import read_manifest
from dfer.schemas.manifest import FRAME_FOLDER, MISSING, VIDEO
from dfer.schemas.support.errors import UserError


def read(root, *paths):
    pl.DataFrame({"path": paths, "label": "happy"}).write_parquet(root / "clips.parquet")
    return read_manifest(root / "clips.parquet")


def test_hidden_clips_are_read_if_listed_and_not_reported_otherwise(root):
    trees.write_files(root, "v/.a.mp4", "v/._a.mp4", ".b/c.mp4", "v/.d/1.jpg", "v/.e/1.jpg")
    manifest = read(root, "v/.a.mp4", ".b/c.mp4", "v/.d")
    assert manifest.clips["kind"].to_list() == [VIDEO, VIDEO, FRAME_FOLDER] and not manifest.problems


def test_a_folder_name_with_a_line_feed_is_read(root):
    manifest = read(trees.write_files(root, "a\nb/c.mp4"), "a\nb/c.mp4")
    assert manifest.clips["kind"].to_list() == [VIDEO] and not manifest.problems


def test_listed_files_that_are_not_videos_are_reported_apart_from_missing_ones(root):
    manifest = read(trees.write_files(root, "a.mp4", "b.pdf", "c.jpg"), "a.mp4", "b.pdf", "c.jpg", "d.mp4")
    assert manifest.clips["kind"].to_list() == [VIDEO, MISSING, MISSING, MISSING]
    assert [problem.line for problem in manifest.problems] == [
        "listed but not on disk: 1 of 4 (d.mp4)",
        "listed, but neither a video nor a folder: 2 of 4 (b.pdf, c.jpg)",
    ]


def test_a_table_of_images_is_refused(root):
    trees.write_files(root, "a.jpg", "b.jpg")
    with pytest.raises(
        UserError, match=r"a\.jpg is an image; still images are not clips; give videos, or a folder"
    ):
        read(root, "a.jpg", "b.jpg")
