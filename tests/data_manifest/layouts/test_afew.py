import time

import pytest
import trees

from dfer.data_manifest.datasets import read_manifest
from dfer.schemas.support.errors import UserError


def test_split_folders_and_seven_expressions_are_read(root, video):
    ids = trees.build_afew(root, [video])
    manifest = read_manifest(root)
    assert manifest.dataset == "afew" and not manifest.problems
    assert manifest.clips["clip_id"].to_list() == sorted(ids)
    assert manifest.clips.row(0, named=True)["label"] == "anger"
    assert dict(manifest.clips["split"].value_counts().iter_rows()) == {"train": 7, "val": 7}


def test_aligned_faces_and_clips_outside_the_expressions_are_left_out(root, video):
    ids = trees.build_afew(root, [video], aligned=True)
    assert ids[0].startswith("Train_AFEW/Angry/")
    trees.write_files(root, "demo/x.avi", "Val_AFEW/y.avi")
    manifest = read_manifest(root)
    assert manifest.dataset == "afew" and manifest.clips["clip_id"].to_list() == sorted(ids)
    (problem,) = manifest.problems
    assert (problem.kind, problem.count) == ("extra", 16)
    assert "AlignedFaces_LBPTOP_Points/Faces/" in problem.line


def test_a_split_inside_a_folder_of_the_same_name_is_read(root, video):
    trees.build_afew(root, [video], aligned=True)
    for split in ("Train_AFEW", "Val_AFEW"):
        (root / split).rename(root / "inner")
        (root / split).mkdir()
        (root / "inner").rename(root / split / split)
    manifest = read_manifest(root)
    assert manifest.dataset == "afew" and len(manifest.clips) == 14
    assert manifest.clips.filter(split="val", label="anger").height == 1


def test_empty_frame_folders_are_reported(root, frames):
    for split in ("Train", "Val"):
        for k, word in enumerate(trees.SEVEN_WORDS):
            trees.write_frame_folder(root / split / word / f"{k:09}", frames if k else [])
    (problem,) = read_manifest(root).problems
    assert (problem.kind, problem.count) == ("empty", 2)


def test_folders_that_are_not_an_expression_are_left_out(root, video):
    trees.build_afew(root, [video])
    trees.write_files(root, "Train/Extra/a.avi")
    manifest = read_manifest(root)
    assert len(manifest.clips) == 14 and manifest.problems[0].examples == ("Train/Extra/a.avi",)
    with pytest.raises(UserError, match=r"no videos in Train/<Emotion>/"):
        read_manifest(trees.write_files(root / "x", "Train/Extra/a.avi"), "afew")


def test_one_name_in_several_folders_is_reported(root, video):
    first = trees.build_afew(root, [video])[0]
    copies = [first.replace(*change) for change in (("Angry", "Happy"), ("Train/Angry", "Val/Happy"))]
    (problem,) = read_manifest(trees.write_files(root, *copies)).problems
    assert (problem.kind, problem.examples) == ("duplicate", (first, *copies))


def test_expressions_behind_links_are_read(root, video):
    trees.build_afew(root, [video])
    angry = (root / "Train/Angry").rename(root.parent / "angry")
    (root / "Train/Angry").symlink_to(angry)
    assert read_manifest(root).clips.filter(split="train", label="anger").height == 1


def test_a_tree_of_the_published_size_is_read_in_seconds(root):
    trees.build_afew(root, [], sizes=trees.AFEW_SIZES)
    began = time.perf_counter()
    clips = read_manifest(root).clips
    assert time.perf_counter() - began < 5
    assert dict(clips["split"].value_counts().iter_rows()) == {"train": 773, "val": 383}
