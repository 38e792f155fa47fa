import os
from pathlib import Path

import pytest
import trees

from dfer.data_manifest.datasets import read_manifest
from dfer.data_manifest.layouts.former_dfer_lists import NAME
from dfer.schemas.manifest import fold_numbers
from dfer.schemas.support.errors import UserError


def test_a_folder_of_lists_is_read_with_its_folds(root, frames):
    ids = trees.build_lists(root, [frames])
    manifest = read_manifest(root)
    assert manifest.dataset == "lists" and not manifest.problems
    assert manifest.clips["clip_id"].to_list() == ids and fold_numbers(manifest.clips) == [1, 2, 3, 4, 5]
    assert manifest.clips.row(0, named=True)["label"] == "happiness"


def test_a_pair_of_lists_is_a_split_and_either_file_gives_both(root, frames):
    trees.build_lists(root, [frames], folds=1)
    for source in (root, root / "train.txt"):
        manifest = read_manifest(source)
        assert dict(manifest.clips["split"].value_counts().iter_rows()) == {"train": 7, "test": 7}
    (root / "test.txt").unlink()
    one = read_manifest(root / "train.txt")
    assert set(one.clips["split"]) == {"train"} and len(one.clips) == 7
    assert [problem.kind for problem in one.problems] == ["extra"]


def test_ids_counted_from_1_are_reported(root, frames):
    trees.build_lists(root, [frames], folds=1)
    for file in root.glob("*.txt"):
        lines = [line.rsplit(" ", 1) for line in file.read_text().splitlines()]
        file.write_text("".join(f"{start} {int(label) + 1}\n" for start, label in lines))
    manifest = read_manifest(root)
    assert manifest.clips.filter(clip_id="frames/00001")["label"].item() == "happiness"
    assert [problem.kind for problem in manifest.problems] == ["labels"]


def test_the_root_moves_up_to_clips_in_other_folders(tmp_path, root, frames):
    for k in (1, 2):
        trees.write_frame_folder(tmp_path / "else where" / f"0000{k}", frames)
    trees.write_text(root / "set_1_train.txt", [f"{tmp_path}/else where/00001 2 0"])
    trees.write_text(root / "set_1_test.txt", [f"{tmp_path}/else where/00002 2 1"])
    manifest = read_manifest(root)
    assert manifest.root == tmp_path / "else where"
    assert manifest.clips.select("path", "label", "split").rows() == [
        ("00001", "happiness", "train"),
        ("00002", "sadness", "test"),
    ]


def test_a_malformed_line_is_quoted(root, frames):
    trees.build_lists(root, [frames])
    with (root / "set_2_train.txt").open("a") as file:
        file.write("frames/00001 3\n")
    with pytest.raises(UserError, match=r"set_2_train.txt, line \d+: expected .*'frames/00001 3'; fix"):
        read_manifest(root)


@pytest.mark.parametrize(
    ("name", "fold", "part"),
    [
        ("set_1_train.txt", "1", "train"),
        ("DFEW_set_3_test.txt", "3", "test"),
        ("FERV39k_train.txt", None, "train"),
        ("Test.TXT", None, "Test"),
    ],
)
def test_fold_and_part_are_read_from_a_lists_name(name, fold, part):
    found = NAME.fullmatch(name)
    assert (found["fold"], found["part"]) == (fold, part)


@pytest.mark.parametrize(
    "name", ["my notes_test.txt", "contest.txt", "test_1_2.txt", "train.csv", "set_1_train.txt.bak"]
)
def test_a_file_with_another_name_is_not_a_list(name):
    assert NAME.fullmatch(name) is None


@pytest.mark.parametrize("name", ["train", "Training", "val", "valid", "VALIDATION", "test", "testing"])
def test_each_word_for_a_part_is_recognised_in_any_case(root, name):
    trees.write_text(root / f"{name}.TXT", ["frames/00001 8 0"])
    trees.write_text(root / "set_test.txt", ["frames/00002 8 1"])
    assert len(read_manifest(root).clips) == 2


def test_ids_without_0_and_7_are_read_as_counted_from_0_and_reported(root):
    trees.write_text(root / "train.txt", [f"frames/{k} 8 {k}" for k in range(2, 7)])
    trees.write_text(root / "test.txt", ["frames/1 8 1"])
    manifest = read_manifest(root)
    assert manifest.clips["label"][0] == "sadness"
    assert manifest.problems[0].line == (
        "label ids 1 to 6 without a 0, read as counted from 0 (1 is sadness): 6"
    )
    trees.write_text(root / "test.txt", ["frames/1 8 0"])  # in any list
    assert [problem.kind for problem in read_manifest(root).problems] == ["missing"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["folder frames label", "frames/1 8 0"],
            "train.txt, line 1: expected a line like 'path/to/00001 120 3', found 'folder frames label'",
        ),
        (["# of 2020", "frames/1 8 0"], "found '# of 2020'; fix or remove it"),
        ([], "train.txt: no clips in it; fill or remove it"),
        (["frames/1 8 99999999999999999999"], "train.txt, line 1"),
        (["frames/1 99999999999999999999 1"], "train.txt, line 1"),
        (["frames/1 8 ３"], "train.txt, line 1"),
    ],
)
def test_a_malformed_list_next_to_a_good_one_is_refused(root, lines, message):
    trees.write_text(root / "train.txt", lines)
    trees.write_text(root / "test.txt", ["frames/2 8 1"])
    with pytest.raises(UserError) as error:
        read_manifest(root)
    assert message in str(error.value)


SEVERAL = (
    *("DFEW_set_1_train.txt", "DFEW_set_1_test.txt", "DFEW_set_2_train.txt", "DFEW_set_2_test.txt"),
    *("AFEW_train.txt", "AFEW_validation.txt", "FERV39K_train.txt", "MAFW_set_1_train_faces.txt"),
    *("MAFW_set_1_test_faces.txt", "set_1_train.txt", "train.txt", "test.txt"),
)


def test_lists_of_several_datasets_in_one_folder_are_refused(root):
    for name in SEVERAL:
        trees.write_text(root / name, [f"{name}/1 8 0"])
    trees.write_text(root / "train_log.txt", ["epoch 1"])  # not a list, whatever its name
    with pytest.raises(
        UserError, match=r"lists of several datasets .AFEW_train.txt, DFEW_set_1_test.txt, FERV39K_tr"
    ) as e:
        read_manifest(root)
    assert str(e.value).endswith("all parts and folds of its dataset are read") and "log" not in str(e.value)


@pytest.mark.parametrize(
    ("name", "clips"),
    [
        ("DFEW_set_2_test.txt", {"DFEW_set_1_train.txt/1", "DFEW_set_2_test.txt/1"}),
        ("AFEW_train.txt", {"AFEW_train.txt/1", "AFEW_validation.txt/1"}),
        ("MAFW_set_1_test_faces.txt", {"MAFW_set_1_train_faces.txt/1", "MAFW_set_1_test_faces.txt/1"}),
        ("set_1_train.txt", {"set_1_train.txt/1"}),
        ("test.txt", {"train.txt/1", "test.txt/1"}),
    ],
)
def test_one_list_gives_all_lists_of_its_dataset(root, name, clips):
    for other in SEVERAL:
        trees.write_text(root / other, [f"{other}/1 8 0"])
    assert clips <= set(read_manifest(root / name).clips["clip_id"])
    assert {clip.split("_")[0] for clip in clips} == {
        clip.split("_")[0] for clip in read_manifest(root / name).clips["clip_id"]
    }


@pytest.mark.parametrize(
    "name", ["fold1_{}", "fold_1_{}", "split1_{}", "SPLIT-1-{}", "{}_fold_1", "{}1", "a_{}_1"]
)
def test_each_word_for_a_fold_is_recognised(root, name):
    for fold in "12":
        for part in ("train", "test"):
            clip = fold if part == "test" else 3 - int(fold)
            trees.write_text(root / f"{name.format(part).replace('1', fold)}.txt", [f"frames/{clip} 8 0"])
    clips = read_manifest(root).clips
    assert clips.select("clip_id", "fold").rows() == [("frames/1", 1), ("frames/2", 2)]


@pytest.mark.parametrize("lists", ["annotation", "."])
@pytest.mark.parametrize("start", ["/home/somebody/data/", "/root/", "F:/Project/", "Project\\", "./"])
def test_paths_of_another_machine_are_found_here_by_their_end(root, frames, lists, start):
    for clip in ("War/Sad/0001", "War/Joy/0002"):
        trees.write_frame_folder(root / "2_Clips" / clip, frames)
    lines = [f"{start}2_Clips/{clip} 2 0" for clip in ("Art/Sad/0003", "War/Sad/0001")]
    trees.write_text(root / lists / "train.txt", lines)
    trees.write_text(root / lists / "test.txt", [f"{start}2_Clips/War/Joy/0002 2 1"])
    manifest = read_manifest(root / lists)
    clips = dict(manifest.clips.select(manifest.clips["path"].str.tail(12), "kind").iter_rows())
    assert clips == {"Art/Sad/0003": "missing", "War/Sad/0001": "frames", "War/Joy/0002": "frames"}
    assert (manifest.root / manifest.clips["path"][0]).resolve().is_relative_to(root.resolve())
    moved = [p for p in manifest.problems if p.kind == "folders"]
    if (lists, start) == (".", "./"):
        assert not moved
    else:
        (problem,) = moved
        assert problem.count == 3 and f", read from {root}/" in problem.text


def test_a_list_inside_the_clips_folder_finds_them_by_name(root, frames):
    trees.write_frame_folder(root / "00001", frames)
    trees.write_text(root / "train.txt", ["/home/somebody/DFEW/00001 2 0", "/home/somebody/DFEW/00002 2 0"])
    manifest = read_manifest(root)
    assert manifest.root == root and manifest.clips["path"].to_list() == ["00001", "00002"]


def test_eleven_ids_are_mafws_classes_from_0_or_1(root):
    for first in (0, 1):
        trees.write_text(root / "train.txt", [f"frames/{k:02} 8 {k + first}" for k in range(11)])
        labels = read_manifest(root).clips["label"].to_list()
        assert labels[:2] == ["happiness", "sadness"]
        assert labels[7:] == ["contempt", "anxiety", "helplessness", "disappointment"]


def test_folders_with_far_fewer_images_than_listed_are_reported(root, frames):
    for k, images in enumerate(([], frames[:1], frames)):
        trees.write_frame_folder(root / f"frames/{k}", images)
    trees.write_text(root / "train.txt", [f"frames/{k} 4 {k}" for k in range(3)])
    found = {p.kind: p.examples for p in read_manifest(root).problems}
    assert found == {"empty": ("frames/0",), "images": ("frames/1",)}


@pytest.mark.parametrize("line", ["Recorded on day 12 2020", "hello I have 3 4", "path 99 1000"])
def test_notes_are_not_a_list(root, line):
    trees.write_text(root / "my_test.txt", [line])
    (root / "happy").mkdir()
    (root / "happy" / "a.mp4").touch()
    assert read_manifest(root).dataset == "folders"


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("/nowhere"), os.mkfifo])
def test_a_path_that_is_not_a_file_is_not_a_list_and_is_not_waited_for(root, make):
    make(root / "train.txt")
    (root / "happy").mkdir()
    (root / "happy" / "a.mp4").touch()
    assert read_manifest(root).dataset == "folders"
    trees.write_text(root / "test.txt", ["happy 8 1"])
    with pytest.raises(UserError, match=r"train.txt: (not a|no such) file"):
        read_manifest(root)
