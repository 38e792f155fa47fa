"""Folders of pictures: told apart from frame folders, or chosen with --dataset stills."""

import re

import pytest
import trees
from still_trees import build_stills

from dfer.data_manifest.datasets import read_manifest
from dfer.schemas.manifest import FRAME_FOLDER, IMAGE, MISSING
from dfer.schemas.support.errors import UserError


def refusal(root, dataset="auto"):
    with pytest.raises(UserError) as error:
        read_manifest(root, dataset)
    return str(error.value)


@pytest.mark.parametrize("splits", [(), ("train", "test"), ("Training", "dev", "test")])
def test_folders_named_after_expressions_with_images_in_them_are_stills(root, splits):
    ids = build_stills(root, [], splits)
    manifest = read_manifest(root)
    clips = manifest.clips
    assert manifest.dataset == "stills" and manifest.labels == ("happy", "sad") and not manifest.problems
    assert clips["clip_id"].to_list() == clips["path"].to_list() == sorted(ids)
    assert (
        set(clips["kind"]) == {IMAGE} and set(clips["bytes"]) == {1} and not clips["votes"].drop_nulls().len()
    )
    expected = {"Training": "train", "dev": "val"}
    assert set(clips["split"]) == ({expected.get(split, split) for split in splits} or {None})


def test_two_files_of_one_name_are_two_stills(root):
    trees.write_files(root, "happy/a.jpg", "happy/a.png", "happy/.a.jpg", "sad/b.JPEG", "sad/notes.txt")
    assert read_manifest(root).clips["clip_id"].to_list() == ["happy/a.jpg", "happy/a.png", "sad/b.JPEG"]


def test_frame_folders_in_label_folders_stay_clips(root):
    trees.write_files(root, "happy/clip_001/1.jpg", "happy/clip_001/2.jpg", "sad/clip_002/1.jpg")
    manifest = read_manifest(root)
    assert manifest.dataset == "folders" and manifest.labels == ("happy", "sad")
    assert manifest.clips.select("path", "kind").rows() == [
        ("happy/clip_001", FRAME_FOLDER),
        ("sad/clip_002", FRAME_FOLDER),
    ]


def test_posters_next_to_videos_do_not_make_stills(root):
    manifest = read_manifest(trees.write_files(root, "happy/1.jpg", "sad/a.mp4"))
    assert manifest.dataset == "folders" and "sad/a.mp4" in manifest.clips["path"]


@pytest.mark.parametrize(
    ("video", "line"),
    [
        (
            "sad/a.mp4",
            "images next to or above clips, ignored, in sad "
            "(--dataset stills reads the images instead of the clips): 3",
        ),
        (
            "a.mp4",
            "folders of images, each read as one clip (if it is a label, choose --dataset stills, or give each clip "
            "a folder): 4 (test/happy, test/sad, train/happy, …)",
        ),
    ],
)
def test_with_a_video_among_stills_the_other_reading_is_named(root, video, line):
    build_stills(root, [], ("train", "test") if video == "a.mp4" else ())
    trees.write_files(root, video)
    assert line in [problem.line for problem in read_manifest(root).problems]
    manifest = read_manifest(root, "stills")
    assert set(manifest.clips["kind"]) == {IMAGE} and manifest.problems[0].line.startswith(
        "videos among stills"
    )


@pytest.mark.parametrize(
    "names",
    [
        ("clip1/1.jpg", "clip2/1.jpg"),
        ("happy/1.jpg", "other/1.jpg"),
        ("train/0/1.jpg", "test/0/1.jpg"),
        ("S001/Anger/1.jpg", "S001/Happy/1.jpg", "S002/Anger/1.jpg"),
    ],
)
def test_folders_that_may_be_labels_or_clips_need_a_choice(root, names):
    trees.write_files(root, *names)
    where = next(name for name in sorted(names) if name != "happy/1.jpg").rpartition("/")[0]
    assert refusal(root) == (
        f"{root}: images directly in {where}, stills or the frames of a clip; choose --dataset stills (each image "
        "is a clip, its top folder the label) or --dataset folders (each folder of images is a clip)"
    )
    stills, folders = read_manifest(root, "stills"), read_manifest(root, "folders")
    assert set(stills.clips["kind"]) == {IMAGE} and set(stills.clips["path"]) == set(names)
    assert set(folders.clips["kind"]) == {FRAME_FOLDER}


def test_stills_can_be_deeper_than_their_label_folder(root):
    trees.write_files(root, "train/0/a/1.jpg", "train/1/1.jpg", "val/1/b/c/1.jpg")
    clips = read_manifest(root, "stills").clips
    assert clips.select("label", "split").rows() == [("0", "train"), ("1", "train"), ("1", "val")]


def test_label_folders_of_images_are_not_read_as_clips(root):
    build_stills(root, [], ["train"])
    assert refusal(root, "folders") == (
        f"{root}: images directly in train/happy, so stills and not clips; choose --dataset stills, or give "
        "each clip a folder"
    )


def test_images_without_a_folder_need_a_choice(root):
    trees.write_files(root, "1.jpg", "2.jpg")
    assert re.search(
        r"images without a folder; give each label .* a folder, or choose --dataset", refusal(root)
    )
    clips = read_manifest(root, "stills").clips
    assert clips.select("path", "label").rows() == [("1.jpg", None), ("2.jpg", None)]


def test_a_folder_without_images_or_videos_says_so(root):
    trees.write_files(root, "happy/notes.txt")
    for dataset in ("auto", "stills"):
        assert "no clips found; give a folder with videos, GIFs" in refusal(root, dataset)


def test_what_is_not_a_still_is_reported(root):
    build_stills(root, [], labels=("happy", "sad"), splits=())
    trees.write_files(root, "cover.jpg", "calm/notes.txt", "labels.csv", "fear/a.mp4")
    (root / "happy" / "x.dat").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(99))
    manifest = read_manifest(root, "stills")
    assert len(manifest.clips) == 6 and MISSING not in manifest.clips["kind"]
    assert [problem.line for problem in manifest.problems] == [
        "videos among stills, left out: 1 (fear/a.mp4)",
        "files that look like videos or images, skipped for their suffix .dat: 1 (happy/x.dat)",
        "images next to the label folders, left out: 1 (cover.jpg)",
        "folders without a clip that can be read: 2 (calm, fear)",
        "tables that are not read (if one lists the clips, give that file): 1 (labels.csv)",
    ]
