"""Files, folders, tables and patterns become one manifest."""

import os
from pathlib import Path

import pytest
import trees

from dfer.data_manifest.inputs import expand, read_inputs, read_source
from dfer.data_manifest.reader import Options
from dfer.schemas.support.errors import UserError


def test_one_video_is_a_clip_without_a_label(tmp_path):
    trees.write_files(tmp_path, "some/where/one.mp4")
    manifest = read_source([tmp_path / "some/where/one.mp4"])
    assert manifest.clips.select("clip_id", "path", "kind", "label").rows() == [
        ("one.mp4", "one.mp4", "video", None)
    ]
    assert (manifest.root, manifest.labels) == (tmp_path / "some/where", ())


def test_a_folder_of_class_folders_keeps_its_meaning(tmp_path):
    trees.write_files(tmp_path, "happy/a.mp4", "sad/b.mp4")
    assert read_source([tmp_path]).clips["label"].to_list() == ["happy", "sad"]
    assert read_source([tmp_path], options=Options(name="mine")).dataset == "mine"


def test_videos_directly_in_a_folder_have_no_label(tmp_path):
    trees.write_files(tmp_path, "a.mp4", "b.mp4", "readme.md")
    manifest = read_source([tmp_path])
    assert manifest.clips["label"].to_list() == [None, None] and manifest.labels == ()


def test_several_inputs_are_one_dataset_below_their_common_folder(tmp_path):
    trees.write_files(tmp_path, "x/1.mp4", "y/1.mp4", "photo.jpg", "z/happy/a.mp4", "z/sad/b.mp4")
    (tmp_path / "table.csv").write_text(
        "path,label\ny/1.mp4,ignored: the clip was named before\nx/1.mp4,Sad\n"
    )
    given = [tmp_path / name for name in ("y/1.mp4", "table.csv", "z", "photo.jpg")]
    manifest = read_source(given, options=Options(name="mixed"))
    assert manifest.clips.select("clip_id", "kind", "label").rows() == [
        ("photo.jpg", "image", None),
        ("x/1.mp4", "video", "sadness"),
        ("y/1.mp4", "video", None),
        ("z/happy/a.mp4", "video", "happy"),
        ("z/sad/b.mp4", "video", "sadness"),  # two spellings of one label become one
    ]
    assert (manifest.dataset, manifest.labels) == ("mixed", ("happy", "sadness"))


def test_a_clip_that_is_named_twice_is_read_once(tmp_path, monkeypatch):
    trees.write_files(tmp_path, "clips/a.mp4", "clips/b.mp4")
    monkeypatch.chdir(tmp_path)
    given = [Path(name) for name in ("clips/a.mp4", "./clips/../clips/a.mp4", "clips")]
    assert read_source(given).clips["clip_id"].to_list() == ["a.mp4", "b.mp4"]


def test_names_may_have_blanks_backslashes_and_wildcards(tmp_path):
    names = [" a.mp4", "b\\c.mp4", "[d]*.mp4", "é\n.mp4", "--out.mp4"]
    trees.write_files(tmp_path, *names)
    manifest = read_source([tmp_path / name for name in names])
    assert sorted(manifest.clips["path"]) == sorted(names)
    assert all((manifest.root / path).exists() for path in manifest.clips["path"])


def test_a_pattern_is_expanded_unless_a_file_has_its_name(tmp_path):
    trees.write_files(tmp_path, "a1.mp4", "a2.mp4", "[a]1.mp4", "deep/er/a3.mp4")
    assert expand([tmp_path / "a?.mp4"]) == [tmp_path / "a1.mp4", tmp_path / "a2.mp4"]
    assert expand([tmp_path / "[a]1.mp4"]) == [tmp_path / "[a]1.mp4"]
    assert expand([tmp_path / "**/a3.mp4"]) == [tmp_path / "deep/er/a3.mp4"]
    for nothing in ("b?.mp4", "missing.mp4"):
        with pytest.raises(UserError, match="no such file or folder"):
            expand([tmp_path / nothing])


def test_what_cannot_be_read_is_refused_with_its_reason(tmp_path):
    trees.write_files(tmp_path, "a.mp4", "notes.txt")
    (tmp_path / "empty").mkdir()
    found = read_inputs([tmp_path / name for name in ("a.mp4", "notes.txt", "empty")])
    assert found.manifest.clips["clip_id"].to_list() == ["a.mp4"]
    (first, not_one), (second, without) = found.refused
    assert (first, second) == (tmp_path / "notes.txt", tmp_path / "empty")
    assert not_one.startswith("neither a video") and without.startswith("no clips found")
    with pytest.raises(UserError, match=r"notes\.txt: neither a video"):
        read_source([tmp_path / "a.mp4", tmp_path / "notes.txt"])


def test_a_layout_is_for_one_folder_only(tmp_path):
    trees.write_files(tmp_path, "a.mp4", "b.mp4")
    with pytest.raises(UserError, match="--dataset and --compound are for one folder or table"):
        read_source([tmp_path / "a.mp4", tmp_path / "b.mp4"], "crema-d")


def test_a_name_that_is_not_utf_8_is_refused(tmp_path):
    (tmp_path / os.fsdecode(b"\xff.mp4")).write_bytes(b"x")
    with pytest.raises(UserError, match="not UTF-8"):
        read_source([tmp_path / os.fsdecode(b"\xff.mp4")])
