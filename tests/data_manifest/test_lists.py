import os
from pathlib import Path

import pytest
import trees

from data_manifest.datasets import read_manifest
from data_manifest.lists import NAME
from schemas.errors import UserError
from schemas.manifest import fold_numbers


def test_folds_in_a_folder_of_lists(root, frames):
    ids = trees.build_lists(root, [frames])
    manifest = read_manifest(root)
    assert manifest.dataset == "lists" and not manifest.problems
    assert manifest.clips["clip_id"].to_list() == ids and fold_numbers(manifest.clips) == [1, 2, 3, 4, 5]
    assert manifest.clips.row(0, named=True)["label"] == "happiness"


def test_one_pair_of_lists_is_a_split_and_a_file_alone_is_its_part(root, frames):
    trees.build_lists(root, [frames], folds=1)
    assert dict(read_manifest(root).clips["split"].value_counts().iter_rows()) == {"train": 7, "test": 7}
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


@pytest.mark.parametrize("name", ["my notes_test.txt", "contest.txt", "train.csv", "set_1_train.txt.bak"])
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
        "6 label ids run from 1 to 6: no id 0; read as 0–6, so that 1 is sadness"
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


def test_lists_of_which_only_some_say_a_fold_are_refused(root):
    for name in ("set_1_train", "set_2_train", "set_99999999999_test"):
        trees.write_text(root / f"{name}.txt", ["frames/1 8 0"])
    with pytest.raises(
        UserError, match=r"set_99999999999_test.txt: its name says no fold, set_1_train.txt does"
    ):
        read_manifest(root)


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
