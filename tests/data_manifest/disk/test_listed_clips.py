"""Which of the clips that a table lists are on disk."""

import polars as pl
import trees

from dfer.data_manifest.datasets import read_manifest
from dfer.schemas.manifest import FRAME_FOLDER, IMAGE, MISSING, VIDEO


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


def test_listed_files_that_cannot_be_clips_are_reported_apart_from_missing_ones(root):
    manifest = read(trees.write_files(root, "a.mp4", "b.pdf", "c.txt"), "a.mp4", "b.pdf", "c.txt", "d.mp4")
    assert manifest.clips["kind"].to_list() == [VIDEO, MISSING, MISSING, MISSING]
    assert [problem.line for problem in manifest.problems] == [
        "listed but not on disk: 1 of 4 (d.mp4)",
        "listed, but neither a video, an image nor a folder: 2 of 4 (b.pdf, c.txt)",
    ]


def test_listed_images_are_stills_and_images_next_to_them_are_reported(root):
    trees.write_files(root, "p/a.jpg", "p/b.PNG", "p/c.jpg", "p/d/1.jpg", "v/a.mp4", "v/poster.jpg")
    manifest = read(root, "p/a.jpg", "p/b.PNG", "p/d", "v/a.mp4", "p/gone.jpg")
    assert manifest.clips.select("path", "kind", "bytes").rows() == [
        ("p/a.jpg", IMAGE, 1),
        ("p/b.PNG", IMAGE, 1),
        ("p/d", FRAME_FOLDER, None),
        ("p/gone.jpg", MISSING, None),
        ("v/a.mp4", VIDEO, 1),
    ]
    assert [problem.line for problem in manifest.problems] == [
        "listed but not on disk: 1 of 5 (p/gone.jpg)",
        "on disk but in no list, left out: 1 (p/c.jpg)",
    ]
