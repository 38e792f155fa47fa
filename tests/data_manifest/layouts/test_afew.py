import time

import pytest
import trees

from dfer.data_manifest.datasets import read_manifest
from dfer.schemas.support.errors import UserError


def test_split_folders_and_seven_expressions(root, video):
    ids = trees.build_afew(root, [video])
    manifest = read_manifest(root)
    assert manifest.dataset == "afew" and not manifest.problems
    assert manifest.clips["clip_id"].to_list() == sorted(ids)
    assert manifest.clips.row(0, named=True)["label"] == "anger"
    assert dict(manifest.clips["split"].value_counts().iter_rows()) == {"train": 7, "val": 7}


def test_folders_named_with_the_dataset_and_clips_elsewhere(root, video):
    trees.build_afew(root, [video])
    for split in ("Train", "Val"):
        (root / split).rename(root / f"{split}_AFEW")
    trees.write_files(root, "demo/x.avi", "Val_AFEW/y.avi")
    manifest = read_manifest(root)
    assert manifest.dataset == "afew" and len(manifest.clips) == 14
    assert [(p.kind, p.examples) for p in manifest.problems] == [("extra", ("Val_AFEW/y.avi", "demo/x.avi"))]


def test_aligned_faces_beside_the_expressions_are_no_clips_and_are_told(root, video):
    ids = trees.build_afew(root, [video], aligned=True)
    assert ids[0].startswith("Train_AFEW/Angry/")
    manifest = read_manifest(root)
    assert manifest.dataset == "afew" and manifest.clips["clip_id"].to_list() == sorted(ids)
    (told,) = manifest.problems
    assert (told.kind, told.count) == ("extra", 14) and "AlignedFaces_LBPTOP_Points/Faces/" in told.line


def test_a_split_unpacked_into_a_folder_of_its_own_name(root, video):
    trees.build_afew(root, [video], aligned=True)
    for split in ("Train_AFEW", "Val_AFEW"):
        (root / split).rename(root / "inner")
        (root / split).mkdir()
        (root / "inner").rename(root / split / split)
    manifest = read_manifest(root)
    assert manifest.dataset == "afew" and len(manifest.clips) == 14
    assert manifest.clips.filter(split="val", label="anger").height == 1


def test_frame_folders_in_place_of_videos_may_be_empty(root, frames):
    for split in ("Train", "Val"):
        for k, word in enumerate(trees.SEVEN_WORDS):
            trees.write_frame_folder(root / split / word / f"{k:09}", frames if k else [])
    (told,) = read_manifest(root).problems
    assert (told.kind, told.count) == ("empty", 2)


def test_folders_that_are_no_expression_are_left_out(root, video):
    trees.build_afew(root, [video])
    trees.write_files(root, "Train/Extra/a.avi")
    manifest = read_manifest(root)
    assert len(manifest.clips) == 14 and manifest.problems[0].examples == ("Train/Extra/a.avi",)
    with pytest.raises(UserError, match=r"no videos in Train/<Emotion>/"):
        read_manifest(trees.write_files(root / "x", "Train/Extra/a.avi"), "afew")


def test_one_name_in_several_places_is_told(root, video):
    first = trees.build_afew(root, [video])[0]
    copies = [first.replace(*change) for change in (("Angry", "Happy"), ("Train/Angry", "Val/Happy"))]
    (told,) = read_manifest(trees.write_files(root, *copies)).problems
    assert (told.kind, told.examples) == ("duplicate", (first, *copies))


def test_expressions_behind_links_are_counted(root, video):
    trees.build_afew(root, [video])
    angry = (root / "Train/Angry").rename(root.parent / "angry")
    (root / "Train/Angry").symlink_to(angry)
    assert read_manifest(root).clips.filter(split="train", label="anger").height == 1


def test_the_published_counts_come_out_of_the_whole_tree_in_seconds(root):
    trees.build_afew(root, [], sizes=trees.AFEW_SIZES)
    began = time.perf_counter()
    clips = read_manifest(root).clips
    assert time.perf_counter() - began < 5
    assert dict(clips["split"].value_counts().iter_rows()) == {"train": 773, "val": 383}


def test_a_tree_with_other_labels_is_no_afew(root, video):
    trees.write_video(root / "Train/Happy/a.avi", video)
    trees.write_video(root / "Val/Happy/b.avi", video)
    assert read_manifest(root).dataset == "folders"
