import re

import pytest
import trees

from dfer.data_manifest.datasets import read_manifest
from dfer.schemas.manifest import FRAME_FOLDER, VIDEO
from dfer.schemas.support.errors import UserError


def test_labels_with_and_without_splits(root, video, frames):
    for splits in (("train", "test"), ()):
        base = root / ("split" if splits else "plain")
        for split in splits or ("",):
            for label in ("happy", "sad"):
                trees.write_video(base / split / label / "b (2).mp4", video)
                trees.write_frame_folder(base / split / label / "c", frames)
        clips = read_manifest(base).clips
        assert set(clips["kind"]) == {VIDEO, FRAME_FOLDER} and set(clips["label"]) == {"happy", "sad"}
        assert set(clips["split"]) == (set(splits) or {None})


def test_spellings_of_one_label_become_one_and_are_reported(root, video):
    for label in ("Angry", "Anger", "anger", "Happy", "bored", "Bored"):
        trees.write_video(root / label / "a.mp4", video)
    manifest = read_manifest(root)
    assert manifest.labels == ("Happy", "anger", "bored")
    (problem,) = manifest.problems
    assert problem.kind == "labels" and problem.count == 3
    assert problem.text.endswith("Anger → anger, Angry → anger, Bored → bored")


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


def test_an_empty_folder_beside_videos_is_none(root, video):
    trees.write_video(root / "happy" / "a.mp4", video)
    (root / "happy" / "thumbnails").mkdir()
    assert len(read_manifest(root).clips) == 1


@pytest.mark.parametrize("parts", [("train", "test"), ("Train", "dev", "test")])
def test_clips_outside_the_split_folders_are_told_and_take_no_split_away(root, parts):
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


def test_one_split_alone_is_a_split(root):
    trees.write_files(root, "train/happy/a.mp4", "train/sad/a.mp4")
    manifest = read_manifest(root)
    assert set(manifest.clips["split"]) == {"train"} and not manifest.problems


def test_what_an_archive_of_macos_adds_is_no_class(root):
    trees.write_files(root, "happy/c/1.jpg", "sad/c/1.jpg", "__MACOSX/happy/._c", "__MACOSX/sad/c/x.txt")
    manifest = read_manifest(root)
    assert manifest.labels == ("happy", "sad") and not manifest.problems


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (("data/happy/a.mp4", "data/sad/a.mp4"), "2 clips have one label, data; is this the folder"),
        (("train/a.mp4", "test/a.mp4"), "2 clips have a label that is the name of a split"),
        (
            ("happy/a.mp4", "sad/a.mp4", "clips.csv"),
            "1 table beside the clips is not read; if one lists them",
        ),
    ],
)
def test_what_looks_like_the_wrong_folder_is_told(root, names, text):
    (told,) = read_manifest(trees.write_files(root, *names)).problems
    assert text in told.line


@pytest.mark.parametrize(
    ("names", "clips", "told"),
    [
        (
            ("happy/s/a.mp4", "happy/s/poster.jpg"),
            ["happy/s/a.mp4"],
            "1 image lies .* is passed over, in happy/s",
        ),
        (
            ("happy/a.mp4", "happy/b/c.mp4", "happy/cover.jpg"),
            ["happy/a.mp4", "happy/b/c.mp4"],
            "1 .* in happy",
        ),
        (("happy/c/1.jpg", "happy/1.jpg", "x.jpg"), ["happy/c"], "2 .* in . and 1 more folder$"),
    ],
)
def test_images_beside_or_above_clips_are_no_clips(root, names, clips, told):
    manifest = read_manifest(trees.write_files(root, "sad/a.mp4", *names))
    assert manifest.clips["path"].to_list() == [*clips, "sad/a.mp4"]
    assert [p.kind for p in manifest.problems] == ["images"]
    assert re.match(told, manifest.problems[0].line)


@pytest.mark.parametrize("split", ["", "train/"])
def test_a_label_of_which_no_file_is_read_is_told(root, split):
    names = ("happy/a.mp4", "sad/b.m2ts", "fear/deep/c.wav", "calm/d.mp4")
    manifest = read_manifest(trees.write_files(root, *(f"{split}{name}" for name in names)))
    (told,) = manifest.problems
    assert manifest.labels == ("calm", "happy") and told.kind == "folders"
    assert told.line == f"2 folders hold no clip that can be read ({split}fear, {split}sad)"


def test_images_directly_in_a_label_folder_are_told(root):
    trees.write_files(root, "happy/1.jpg", "happy/2.jpg", "sad/a/1.jpg", "calm/b/1.jpg")
    manifest = read_manifest(root)
    assert manifest.clips.filter(path="happy")["label"].to_list() == [None]
    (told,) = manifest.problems
    assert told.line.startswith(
        "1 folder holds images and no folder of a clip: each is one clip without a label"
    )
    assert told.examples == ("happy",)


def test_a_folder_whose_name_is_not_utf8_is_named_once(root):
    trees.write_files(root, "happy\udcff/a.mp4")
    with pytest.raises(UserError, match=r"^happy\\udcff: its name is not UTF-8"):
        read_manifest(root)
