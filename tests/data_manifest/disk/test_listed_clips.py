"""What a list names and how it lies on disk, through a table of clips."""

import polars as pl
import trees

from dfer.data_manifest.datasets import read_manifest
from dfer.schemas.manifest import FRAME_FOLDER, MISSING, VIDEO


def read(root, *paths):
    pl.DataFrame({"path": paths, "label": "happy"}).write_parquet(root / "clips.parquet")
    return read_manifest(root / "clips.parquet")


def test_hidden_clips_that_a_row_names_are_read_and_others_are_not_told(root):
    trees.write_files(root, "v/.a.mp4", "v/._a.mp4", ".b/c.mp4", "v/.d/1.jpg", "v/.e/1.jpg")
    manifest = read(root, "v/.a.mp4", ".b/c.mp4", "v/.d")
    assert manifest.clips["kind"].to_list() == [VIDEO, VIDEO, FRAME_FOLDER] and not manifest.problems


def test_a_folder_whose_name_has_a_line_feed_is_read(root):
    manifest = read(trees.write_files(root, "a\nb/c.mp4"), "a\nb/c.mp4")
    assert manifest.clips["kind"].to_list() == [VIDEO] and not manifest.problems


def test_files_of_a_kind_that_is_not_read_are_told_apart_from_missing_ones(root):
    manifest = read(trees.write_files(root, "a.mp4", "b.m2v", "c.jpg"), "a.mp4", "b.m2v", "c.jpg", "d.mp4")
    assert manifest.clips["kind"].to_list() == [VIDEO, MISSING, MISSING, MISSING]
    assert [problem.line for problem in manifest.problems] == [
        "1 of 4 clips is listed but not on disk (d.mp4)",
        "2 of 4 clips are on disk, but not as a kind of file that is read (b.m2v, c.jpg)",
    ]
