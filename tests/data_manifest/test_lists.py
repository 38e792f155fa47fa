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
