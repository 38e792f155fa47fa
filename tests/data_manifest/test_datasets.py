from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from trees import write_files

from dfer.data_manifest import datasets
from dfer.data_manifest.datasets import read_manifest
from dfer.data_manifest.layouts import label_folders
from dfer.schemas.manifest import FRAME_FOLDER, VIDEO
from dfer.schemas.support.errors import UserError


def test_the_top_folder_is_the_label_and_frame_folders_are_found(tmp_path):
    write_files(
        tmp_path, "happy/a.mp4", "happy/deep/b.GIF", "sad/c/001.jpg", "sad/c/002.jpg", "sad/notes.txt"
    )
    write_files(tmp_path, ".hidden/d.mp4")
    manifest = read_manifest(tmp_path)
    assert manifest.dataset == "folders"
    assert manifest.labels == ("happy", "sad")
    assert manifest.clips.select("path", "kind", "label", "split").rows() == [
        ("happy/a.mp4", VIDEO, "happy", None),
        ("happy/deep/b.GIF", VIDEO, "happy", None),
        ("sad/c", FRAME_FOLDER, "sad", None),
    ]


def test_split_folders_are_splits_and_the_next_folder_is_the_label(tmp_path):
    write_files(tmp_path, "Train/happy/a.mp4", "Val/happy/a.mp4", "Val/sad/b.mp4")
    clips = read_manifest(tmp_path).clips
    assert clips.select("label", "split").rows() == [("happy", "train"), ("happy", "val"), ("sad", "val")]


def test_clips_without_a_folder_have_no_label(tmp_path):
    manifest = read_manifest(write_files(tmp_path, "a.mp4", "b.mp4"))
    assert manifest.labels == ()
    assert manifest.clips["label"].to_list() == [None, None]


def test_links_that_lead_back_do_not_trap_the_search(tmp_path):
    write_files(tmp_path, "set/happy/a.mp4", "elsewhere/b.mp4")
    (tmp_path / "set/happy/again").symlink_to(tmp_path / "set", target_is_directory=True)
    (tmp_path / "set/happy/itself").symlink_to("itself")
    (tmp_path / "set/sad").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/back").symlink_to(tmp_path / "set")
    assert read_manifest(tmp_path / "set").clips["path"].to_list() == ["happy/a.mp4", "sad/b.mp4"]


def test_folders_and_frames_behind_links_are_read(tmp_path):
    write_files(tmp_path, "set/happy/a.mp4", "elsewhere/sad/b.mp4", "elsewhere/c/1.jpg")
    (tmp_path / "set" / "sad").symlink_to(tmp_path / "elsewhere" / "sad")
    (tmp_path / "set" / "happy" / "c").symlink_to(tmp_path / "elsewhere" / "c")
    clips = read_manifest(tmp_path / "set").clips
    assert clips.select("path", "label").rows() == [
        ("happy/a.mp4", "happy"),
        ("happy/c", "happy"),
        ("sad/b.mp4", "sad"),
    ]


def test_two_clips_with_one_id_are_refused(tmp_path, monkeypatch):
    def read(root, options):
        rows = label_folders.read(root, options)
        return replace(rows, table=rows.table.with_columns(clip_id=pl.lit("same")))

    reader = replace(label_folders.READER, read=read, fits=Path.is_dir)
    monkeypatch.setattr(datasets, "READERS", (reader,))
    write_files(tmp_path, "happy/a.mp4", "sad/b.mp4")
    with pytest.raises(UserError, match="2 clips share an id"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing", "no such file or folder"),
        ("missing.csv", "no such file or folder"),
        ("empty", "no clips found"),
    ],
)
def test_a_source_without_clips_is_refused_in_one_line(tmp_path, name, message):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=message) as error:
        read_manifest(tmp_path / name)
    assert str(error.value).startswith(f"{tmp_path / name}: ") and "\n" not in str(error.value)


def test_a_file_is_not_read_as_a_dataset_of_folders(tmp_path):
    (tmp_path / "file.mp4").write_bytes(b"x")
    with pytest.raises(UserError, match="a file; give the folder that contains the clips"):
        read_manifest(tmp_path / "file.mp4", "crema-d")


def test_the_manifest_has_the_size_of_a_video_but_not_of_a_broken_link(tmp_path):
    write_files(tmp_path, "happy/a.mp4")
    (tmp_path / "happy" / "b.mp4").symlink_to(tmp_path / "nowhere")
    assert read_manifest(tmp_path).clips["bytes"].to_list() == [1, None]
