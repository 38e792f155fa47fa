import shutil
import time

import pytest
import trees

from dfer.data_manifest.datasets import read_manifest
from dfer.schemas.manifest import FRAME_FOLDER
from dfer.schemas.support.errors import UserError


def test_all_scenes_are_read_with_their_split(root, frames):
    ids = trees.build_ferv39k(root, [frames])
    manifest = read_manifest(root)
    assert manifest.dataset == "ferv39k" and not manifest.problems
    assert manifest.clips["clip_id"].to_list() == sorted(ids)
    first = manifest.clips.row(0, named=True)
    assert first["path"] == f"2_ClipsforFaceCrop/{first['clip_id']}" == "2_ClipsforFaceCrop/Action/Angry/0000"
    assert (first["kind"], first["label"], first["split"]) == (FRAME_FOLDER, "anger", "train")
    assert set(manifest.clips["scene"]) == set(trees.SCENES)
    assert manifest.clips["split"].value_counts().sort("split").rows() == [("test", 7), ("train", 14)]


def test_lists_of_several_scenes_are_scene_groups(root, frames):
    trees.build_ferv39k(root, [frames])
    clips = read_manifest(root).clips
    groups = {
        scene: {"DL": "DL11k", "AI": "AI9k"}[group]
        for group, scenes in trees.SCENE_GROUPS.items()
        for scene in scenes
    }
    found = dict(clips.select("scene", "scene_group").unique().iter_rows())
    assert found == {scene: groups.get(scene) for scene in trees.SCENES}


def test_a_clip_in_two_scene_groups_is_reported(root, frames):
    trees.build_ferv39k(root, [frames])
    lists = root / "4_setups/4_groups"
    (lists / "train_XY.csv").write_text("Action/Angry/0000 Angry\nTalkshow/Neutral/0004 Neutral\n")
    manifest = read_manifest(root)
    (problem,) = manifest.problems
    assert problem.line == "clips in several scene groups; the first is used: 1 (Action/Angry/0000)"
    row = {row["clip_id"]: row["scene_group"] for row in manifest.clips.iter_rows(named=True)}
    assert row["Action/Angry/0000"] == "AI9k" and row["Talkshow/Neutral/0004"] == "XY"


@pytest.mark.parametrize("name", ["DL", "DL11k", "DailyLife", "Daily Life", "daily_life", "dl10K"])
def test_a_scene_group_has_its_published_name_whatever_its_list_is_called(root, frames, name):
    trees.build_ferv39k(root, [frames])
    for part in ("train", "test"):
        file = root / f"4_setups/4_groups/{part}_DL.csv"
        file.rename(file.with_name(f"{part}_{name}.csv"))
    manifest = read_manifest(root)
    assert set(manifest.clips["scene_group"].drop_nulls()) == {"DL11k", "AI9k"} and not manifest.problems


def test_a_malformed_list_of_a_scene_group_is_reported_and_left_out(root, frames):
    trees.build_ferv39k(root, [frames])
    (root / "4_setups/4_groups/train_DL.csv").write_text("nonsense\n")
    manifest = read_manifest(root)
    (problem,) = manifest.problems
    assert problem.kind == "scene groups"
    assert "train_DL.csv, line 1: expected a line like 'Action/Happy/0267 Happy'" in problem.line
    assert set(manifest.clips["scene_group"].drop_nulls()) == {"DL11k", "AI9k"}


def test_missing_lists_of_scene_groups_are_reported(root, frames):
    trees.build_ferv39k(root, [frames])
    shutil.rmtree(root / "4_setups/4_groups")
    manifest = read_manifest(root)
    (problem,) = manifest.problems
    assert problem.count == 21 and problem.text.startswith("clips without a scene group, since no list such")
    assert manifest.clips["scene_group"].is_null().all()


def test_lists_in_a_folder_named_ferv39k_are_found(root, frames):
    trees.build_ferv39k(root, [frames])
    (root / "FERV39k").mkdir()
    (root / "4_setups").rename(root / "FERV39k/4_setups")
    manifest = read_manifest(root)
    assert manifest.dataset == "ferv39k" and not manifest.problems


def test_a_label_that_contradicts_its_folder_is_reported_and_used(root, frames):
    trees.build_ferv39k(root, [frames])
    file = root / "4_setups/All_scenes/train_All.csv"
    file.write_text(file.read_text().replace("Interview/Happy/0003 Happy", "Interview/Happy/0003 Sad"))
    manifest = read_manifest(root)
    (problem,) = manifest.problems
    text = "labels that contradict the clip's folder; the label is used"
    assert problem.line == f"{text}: 1 (Interview/Happy/0003: sadness)"
    assert manifest.clips.filter(clip_id="Interview/Happy/0003")["label"].item() == "sadness"


def test_clips_in_a_nested_folder_of_the_same_name_are_found(root, frames):
    trees.build_ferv39k(root, [frames])
    clips = root / "2_ClipsforFaceCrop"
    clips.rename(root / "inner")
    clips.mkdir()
    (root / "inner").rename(clips / "2_ClipsforFaceCrop")
    assert not read_manifest(root).problems


def test_lists_of_the_published_size_are_read_in_seconds(root):
    trees.build_ferv39k(root, [], sizes=trees.FERV39K_SIZES)
    began = time.perf_counter()
    clips = read_manifest(root).clips
    assert time.perf_counter() - began < 5
    assert dict(clips["split"].value_counts().iter_rows()) == {"train": 31_088, "test": 7847}


def test_a_clip_in_both_lists_is_refused(root, frames):
    ids = trees.build_ferv39k(root, [frames])
    with (root / "4_setups/All_scenes/test_All.csv").open("a") as file:
        file.write(f"{ids[0]} Angry\n")
    with pytest.raises(UserError, match=f"train_All.csv, line 1: clip {ids[0]} is in both train and test"):
        read_manifest(root)


def test_a_line_without_a_label_is_quoted(root, frames):
    trees.build_ferv39k(root, [frames])
    with (root / "4_setups/All_scenes/test_All.csv").open("a") as file:
        file.write("War/Sad/0001\n")
    with pytest.raises(UserError, match=r"test_All.csv, line 8: expected .* found 'War/Sad/0001'"):
        read_manifest(root)


def test_the_name_of_another_dataset_is_refused_with_what_is_missing(root, frames):
    trees.build_dfew(root, [frames])
    with pytest.raises(UserError, match="no folder 4_setups/All_scenes; unpack"):
        read_manifest(root, "ferv39k")
