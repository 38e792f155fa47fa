import os
from pathlib import Path

import pytest
import trees

from dfer.data_manifest.datasets import read_manifest
from dfer.data_manifest.layouts.former_dfer_lists import NAME
from dfer.schemas.manifest import fold_numbers
from dfer.schemas.support.errors import UserError


def test_folds_in_a_folder_of_lists(root, frames):
    ids = trees.build_lists(root, [frames])
    manifest = read_manifest(root)
    assert manifest.dataset == "lists" and not manifest.problems
    assert manifest.clips["clip_id"].to_list() == ids and fold_numbers(manifest.clips) == [1, 2, 3, 4, 5]
    assert manifest.clips.row(0, named=True)["label"] == "happiness"


def test_one_pair_of_lists_is_a_split_and_a_file_of_it_stands_for_both(root, frames):
    trees.build_lists(root, [frames], folds=1)
    for source in (root, root / "train.txt"):
        manifest = read_manifest(source)
        assert dict(manifest.clips["split"].value_counts().iter_rows()) == {"train": 7, "test": 7}
    (root / "test.txt").unlink()
    alone = read_manifest(root / "train.txt")
    assert set(alone.clips["split"]) == {"train"} and len(alone.clips) == 7
    assert [problem.kind for problem in alone.problems] == ["extra"]


def test_ids_from_one_are_read_as_such_and_reported(root, frames):
    trees.build_lists(root, [frames], folds=1)
    for file in root.glob("*.txt"):
        lines = [line.rsplit(" ", 1) for line in file.read_text().splitlines()]
        file.write_text("".join(f"{start} {int(label) + 1}\n" for start, label in lines))
    manifest = read_manifest(root)
    assert manifest.clips.filter(clip_id="frames/00001")["label"].item() == "happiness"
    assert [problem.kind for problem in manifest.problems] == ["labels"]


def test_absolute_folders_elsewhere_move_the_root(tmp_path, root, frames):
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


def test_a_malformed_line_is_named(root, frames):
    trees.build_lists(root, [frames])
    with (root / "set_2_train.txt").open("a") as file:
        file.write("frames/00001 3\n")
    with pytest.raises(UserError, match=r"set_2_train.txt, line \d+: 'frames/00001 3' is not of the form"):
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
def test_names_of_lists(name, fold, part):
    found = NAME.fullmatch(name)
    assert (found["fold"], found["part"]) == (fold, part)


@pytest.mark.parametrize(
    "name", ["my notes_test.txt", "contest.txt", "test_1_2.txt", "train.csv", "set_1_train.txt.bak"]
)
def test_other_names_are_of_no_list(name):
    assert NAME.fullmatch(name) is None


@pytest.mark.parametrize("name", ["train", "Training", "val", "valid", "VALIDATION", "test", "testing"])
def test_each_word_for_a_part_is_a_list_whatever_its_case(root, name):
    trees.write_text(root / f"{name}.TXT", ["frames/00001 8 0"])
    trees.write_text(root / "set_test.txt", ["frames/00002 8 1"])
    assert len(read_manifest(root).clips) == 2


def test_ids_without_0_and_7_are_read_from_0_and_that_is_said(root):
    trees.write_text(root / "train.txt", [f"frames/{k} 8 {k}" for k in range(2, 7)])
    trees.write_text(root / "test.txt", ["frames/1 8 1"])
    manifest = read_manifest(root)
    assert manifest.clips["label"][0] == "sadness"
    assert manifest.problems[0].line == (
        "6 label ids run from 1 to 6: no id 0; read as from 0, so that 1 is sadness"
    )
    trees.write_text(root / "test.txt", ["frames/1 8 0"])  # in any list
    assert [problem.kind for problem in read_manifest(root).problems] == ["missing"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["folder frames label", "frames/1 8 0"],
            "train.txt, line 1: 'folder frames label' is not of the form",
        ),
        (["# of 2020", "frames/1 8 0"], "train.txt, line 1: '# of 2020' is not of the form"),
        ([], "train.txt names no clip; fill or remove it"),
        (["frames/1 8 99999999999999999999"], "train.txt, line 1"),
        (["frames/1 99999999999999999999 1"], "train.txt, line 1"),
        (["frames/1 8 ３"], "train.txt, line 1"),
    ],
)
def test_a_list_of_another_form_beside_a_good_one_is_not_passed_over(root, lines, message):
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


def test_lists_of_several_datasets_in_one_folder_are_refused_by_name(root):
    for name in SEVERAL:
        trees.write_text(root / name, [f"{name}/1 8 0"])
    trees.write_text(root / "train_log.txt", ["epoch 1"])  # no list, whatever its name
    with pytest.raises(
        UserError, match=r"several datasets .AFEW_train.txt, DFEW_set_1_test.txt, FERV39K_tr"
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
def test_one_of_them_stands_for_its_dataset(root, name, clips):
    for other in SEVERAL:
        trees.write_text(root / other, [f"{other}/1 8 0"])
    assert clips <= set(read_manifest(root / name).clips["clip_id"])
    assert {clip.split("_")[0] for clip in clips} == {
        clip.split("_")[0] for clip in read_manifest(root / name).clips["clip_id"]
    }


@pytest.mark.parametrize(
    "name", ["fold1_{}", "fold_1_{}", "split1_{}", "SPLIT-1-{}", "{}_fold_1", "{}1", "a_{}_1"]
)
def test_each_word_for_a_fold_is_read(root, name):
    for fold in "12":
        for part in ("train", "test"):
            clip = fold if part == "test" else 3 - int(fold)
            trees.write_text(root / f"{name.format(part).replace('1', fold)}.txt", [f"frames/{clip} 8 0"])
    clips = read_manifest(root).clips
    assert clips.select("clip_id", "fold").rows() == [("frames/1", 1), ("frames/2", 2)]


@pytest.mark.parametrize("lists", ["annotation", "."])
@pytest.mark.parametrize("start", ["/home/somebody/data/", "/root/", "F:/Project/", "Project\\", "./"])
def test_paths_of_another_machine_are_found_by_their_end(root, frames, lists, start):
    for clip in ("War/Sad/0001", "War/Joy/0002"):
        trees.write_frame_folder(root / "2_Clips" / clip, frames)
    lines = [f"{start}2_Clips/{clip} 2 0" for clip in ("Art/Sad/0003", "War/Sad/0001")]
    trees.write_text(root / lists / "train.txt", lines)
    trees.write_text(root / lists / "test.txt", [f"{start}2_Clips/War/Joy/0002 2 1"])
    manifest = read_manifest(root / lists)
    clips = dict(manifest.clips.select(manifest.clips["path"].str.tail(12), "kind").iter_rows())
    assert clips == {"Art/Sad/0003": "missing", "War/Sad/0001": "frames", "War/Joy/0002": "frames"}
    assert (manifest.root / manifest.clips["path"][0]).resolve().is_relative_to(root.resolve())
    told = [p for p in manifest.problems if p.kind == "folders"]
    if (lists, start) == (".", "./"):
        assert not told
    else:
        (one,) = told
        assert one.count == 3 and ": read from" in one.text


def test_a_list_inside_the_folder_of_its_clips_finds_them_by_their_own_name(root, frames):
    trees.write_frame_folder(root / "00001", frames)
    trees.write_text(root / "train.txt", ["/home/somebody/DFEW/00001 2 0", "/home/somebody/DFEW/00002 2 0"])
    manifest = read_manifest(root)
    assert manifest.root == root and manifest.clips["path"].to_list() == ["00001", "00002"]


def test_eleven_ids_are_those_of_mafw_from_0_or_1(root):
    for first in (0, 1):
        trees.write_text(root / "train.txt", [f"frames/{k:02} 8 {k + first}" for k in range(11)])
        labels = read_manifest(root).clips["label"].to_list()
        assert labels[:2] == ["happiness", "sadness"]
        assert labels[7:] == ["contempt", "anxiety", "helplessness", "disappointment"]


def test_folders_with_far_fewer_images_than_listed_are_told(root, frames):
    for k, images in enumerate(([], frames[:1], frames)):
        trees.write_frame_folder(root / f"frames/{k}", images)
    trees.write_text(root / "train.txt", [f"frames/{k} 4 {k}" for k in range(3)])
    told = {p.kind: p.examples for p in read_manifest(root).problems}
    assert told == {"empty": ("frames/0",), "images": ("frames/1",)}


@pytest.mark.parametrize("line", ["Recorded on day 12 2020", "hello I have 3 4", "path 99 1000"])
def test_notes_are_no_list(root, line):
    trees.write_text(root / "my_test.txt", [line])
    (root / "happy").mkdir()
    (root / "happy" / "a.mp4").touch()
    assert read_manifest(root).dataset == "folders"


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("/nowhere"), os.mkfifo])
def test_what_is_no_file_makes_no_dataset_of_lists_and_is_not_waited_for(root, make):
    make(root / "train.txt")
    (root / "happy").mkdir()
    (root / "happy" / "a.mp4").touch()
    assert read_manifest(root).dataset == "folders"
    trees.write_text(root / "test.txt", ["happy 8 1"])
    with pytest.raises(UserError, match=r"train.txt(;| is no file)"):
        read_manifest(root)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04\x14\x00", "is not text but an Excel or zip file; save it"),
        (b"\x1f\x8b\x08\x00", "is not text but compressed"),
        (b"a 8 1\n\0\0", "byte 6 is 0, which no text has"),
        ("a 8 1\n".encode("utf-16"), "byte 0 is not UTF-8"),
    ],
)
def test_what_is_no_text_is_named(root, content, message):
    (root / "train.txt").write_bytes(content)
    trees.write_text(root / "test.txt", ["a 8 1"])
    with pytest.raises(UserError, match=message):
        read_manifest(root)
