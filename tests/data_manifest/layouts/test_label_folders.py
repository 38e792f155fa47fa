import re

import pytest
import trees

from dfer.data_manifest.datasets import read_manifest
from dfer.schemas.manifest import FRAME_FOLDER, VIDEO
from dfer.schemas.support.errors import UserError


def test_spellings_of_one_label_are_merged_and_reported(root, video):
    for label in ("Angry", "Anger", "anger", "Happy", "bored", "Bored"):
        trees.write_video(root / label / "a.mp4", video)
    manifest = read_manifest(root)
    assert manifest.labels == ("Happy", "anger", "bored")
    (problem,) = manifest.problems
    assert problem.kind == "labels" and problem.count == 3
    assert problem.text.endswith("(Anger → anger, Angry → anger, Bored → bored)")


def test_an_empty_folder_among_frame_folders_is_a_clip_without_frames(root, frames, video):
    trees.write_frame_folder(root / "happy" / "a", frames)
    trees.write_frame_folder(root / "happy" / "b", [])
    (root / "sad").mkdir()
    trees.write_files(root, "happy/c/Thumbs.db", "happy/d/.DS_Store", "surprise/e.mp4")
    manifest = read_manifest(root)
    assert manifest.clips.select("path", "kind").rows() == [
        ("happy/a", FRAME_FOLDER),
        ("happy/b", FRAME_FOLDER),
        ("happy/c", FRAME_FOLDER),
        ("happy/d", FRAME_FOLDER),
        ("surprise/e.mp4", VIDEO),
    ]
    assert [(p.kind, p.examples) for p in manifest.problems] == [
        ("empty", ("happy/b", "happy/c", "happy/d")),
        ("folders", ("sad",)),
    ]


def test_an_empty_folder_next_to_videos_is_not_a_clip(root, video):
    trees.write_video(root / "happy" / "a.mp4", video)
    (root / "happy" / "thumbnails").mkdir()
    assert len(read_manifest(root).clips) == 1


@pytest.mark.parametrize("parts", [("train", "test"), ("Train", "dev", "test")])
def test_clips_outside_the_split_folders_are_left_out_and_reported(root, parts):
    trees.write_files(root, *(f"{part}/{label}/a.mp4" for part in parts for label in ("happy", "sad")))
    trees.write_files(
        root, "intro.mp4", f"{parts[0]}/x.mp4", "__MACOSX/train/happy/._c1", "__MACOSX/happy/c/1.jpg"
    )
    manifest = read_manifest(root)
    assert manifest.labels == ("happy", "sad") and len(manifest.clips) == 2 * len(parts)
    assert set(manifest.clips["split"]) == {"train", "test"} | ({"val"} if "dev" in parts else set())
    assert [(p.kind, p.examples) for p in manifest.problems] == [
        ("extra", ("intro.mp4", f"{parts[0]}/x.mp4"))
    ]


def test_a_single_split_is_a_split(root):
    trees.write_files(root, "train/happy/a.mp4", "train/sad/a.mp4")
    manifest = read_manifest(root)
    assert set(manifest.clips["split"]) == {"train"} and not manifest.problems


def test_folders_that_macos_archives_add_are_ignored(root):
    trees.write_files(root, "happy/c/1.jpg", "sad/c/1.jpg", "__MACOSX/happy/._c", "__MACOSX/sad/c/x.txt")
    manifest = read_manifest(root)
    assert manifest.labels == ("happy", "sad") and not manifest.problems


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (
            ("data/happy/a.mp4", "data/sad/a.mp4"),
            "clips that all have one label, data (is this folder one level too high or too low?): 2",
        ),
        (("train/a.mp4", "test/a.mp4"), "clips whose label is the name of a split: 2"),
        (
            ("afew/Train/Sad/a.mp4", "afew/Val/Sad/b.mp4", "other/c.mp4"),
            "clips in split folders below a label folder (not used as splits): 2 (afew/Train/Sad/a.mp4, afew/Val",
        ),
        (
            ("happy/a.mp4", "sad/a.mp4", "clips.csv"),
            "tables that are not read (if one lists the clips, give that file): 1 (clips.csv)",
        ),
    ],
)
def test_what_looks_like_the_wrong_folder_is_reported(root, names, text):
    (problem,) = read_manifest(trees.write_files(root, *names)).problems
    assert text in problem.line


@pytest.mark.parametrize(
    ("names", "clips", "line"),
    [
        (
            ("happy/s/a.mp4", "happy/s/poster.jpg"),
            ["happy/s/a.mp4"],
            r"images next to or above clips, ignored, in happy/s \(--dataset stills reads .*\): 1$",
        ),
        (
            ("happy/a.mp4", "happy/b/c.mp4", "happy/cover.jpg"),
            ["happy/a.mp4", "happy/b/c.mp4"],
            r".* in happy \(.*\): 1$",
        ),
        (("happy/c/1.jpg", "happy/1.jpg", "x.jpg"), ["happy/c"], r".* in . and 1 more folder \(.*\): 2$"),
    ],
)
def test_images_next_to_or_above_clips_are_ignored_and_reported(root, names, clips, line):
    manifest = read_manifest(trees.write_files(root, "sad/a.mp4", *names))
    assert manifest.clips["path"].to_list() == [*clips, "sad/a.mp4"]
    assert [p.kind for p in manifest.problems] == ["images"]
    assert re.match(line, manifest.problems[0].line)


@pytest.mark.parametrize("split", ["", "train/"])
def test_a_label_without_a_readable_clip_is_reported(root, split):
    names = ("happy/a.mp4", "sad/b.pdf", "fear/deep/c.wav", "calm/d.mp4")
    manifest = read_manifest(trees.write_files(root, *(f"{split}{name}" for name in names)))
    (problem,) = manifest.problems
    assert manifest.labels == ("calm", "happy") and problem.kind == "folders"
    assert problem.line == f"folders without a clip that can be read: 2 ({split}fear, {split}sad)"


def test_images_directly_in_a_label_folder_are_reported(root):
    trees.write_files(root, "happy/1.jpg", "happy/2.jpg", "sad/a/1.jpg", "calm/b/1.jpg")
    manifest = read_manifest(root)
    assert manifest.clips.filter(path="happy")["label"].to_list() == [None]
    (problem,) = manifest.problems
    assert problem.text.startswith(
        "folders of images, each read as one clip (if it is a label, choose --dataset stills"
    )
    assert problem.examples == ("happy",)


def test_a_folder_name_that_is_not_utf8_is_refused(root):
    trees.write_files(root, "happy\udcff/a.mp4")
    with pytest.raises(UserError, match=r"^happy\\udcff: the name is not UTF-8"):
        read_manifest(root)
