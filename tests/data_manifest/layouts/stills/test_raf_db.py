import pytest
import trees
from still_trees import build_raf_db

from dfer.data_manifest.datasets import read_manifest
from dfer.data_manifest.labels import SEVEN
from dfer.schemas.manifest import IMAGE, MISSING
from dfer.schemas.support.errors import UserError

ORDER = ["surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral"]
LIST = "EmoLabel/list_patition_label.txt"


def refusal(root):
    with pytest.raises(UserError) as error:
        read_manifest(root, "raf-db")
    return str(error.value).removeprefix(f"{root}/")


def add_lines(root, *lines):
    with (root / LIST).open("a") as opened:
        opened.writelines(f"{line}\n" for line in lines)


@pytest.mark.parametrize(
    ("how", "top", "path"),
    [
        ("aligned", "", "Image/aligned/train_00001_aligned.jpg"),
        ("aligned", "basic", "basic/Image/aligned/train_00001_aligned.jpg"),
        ("original", "", "Image/original/train_00001.jpg"),
        ("folders", "", "DATASET/train/1/train_00001_aligned.jpg"),
    ],
)
def test_every_picture_is_a_still_with_label_and_split(root, how, top, path):
    ids = build_raf_db(root / top, [], how=how)
    manifest = read_manifest(root)
    clips = manifest.clips
    assert manifest.dataset == "raf-db" and manifest.labels == tuple(sorted(SEVEN)) and not manifest.problems
    assert clips["clip_id"].to_list() == sorted(ids) and set(clips["kind"]) == {IMAGE}
    labels = dict(clips.select("clip_id", "label").iter_rows())
    assert [labels[name] for name in ids] == ORDER * 3
    assert clips["split"].to_list() == ["test"] * 7 + ["train"] * 14
    assert clips.filter(clip_id="train_00001")["path"].item() == path and set(clips["bytes"]) == {1}


def test_aligned_pictures_are_used_where_both_are_there(root):
    build_raf_db(root, [], how="original")
    build_raf_db(root, [])
    manifest = read_manifest(root)
    assert manifest.clips["path"].str.starts_with("Image/aligned/").all() and not manifest.problems


def test_pictures_unpacked_into_a_folder_in_the_folder_are_found(root):
    build_raf_db(root, [])
    (root / "Image" / "aligned").rename(root / "Image" / "x")
    (root / "Image" / "aligned").mkdir()
    (root / "Image" / "x").rename(root / "Image" / "aligned" / "aligned")
    assert read_manifest(root).clips["path"][0] == "Image/aligned/aligned/test_0001_aligned.jpg"


def test_a_missing_picture_a_picture_in_no_list_and_a_wrong_label_are_reported(root):
    build_raf_db(root, [])
    add_lines(root, "train_00015.jpg 0")
    (root / "Image/aligned/test_0002_aligned.jpg").unlink()
    trees.write_files(root, "Image/aligned/train_00015_aligned.jpg", "Image/aligned/train_00099_aligned.jpg")
    manifest = read_manifest(root)
    assert manifest.clips.filter(kind=MISSING)["clip_id"].to_list() == ["test_0002"]
    assert [problem.line for problem in manifest.problems] == [
        "labels that are not a class of this dataset, ignored: 1 (train_00015: 0)",
        "listed but not on disk: 1 of 22 (Image/aligned/test_0002_aligned.jpg)",
        "on disk but in no list, left out: 1 (Image/aligned/train_00099_aligned.jpg)",
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "train_00099.jpg",
            "expected a line like 'train_00001.jpg 5', found 'train_00099.jpg'; fix or remove it",
        ),
        ("other.jpg 3", "expected a line like 'train_00001.jpg 5', found 'other.jpg 3'; fix or remove it"),
        ("test_0009.jpg 11", "11 is a label of RAF-DB's compound part; give the folder of the basic part"),
    ],
)
def test_a_line_that_is_not_of_the_basic_part_is_refused(root, line, message):
    build_raf_db(root, [])
    add_lines(root, line)
    assert refusal(root) == f"{LIST}, line 22: {message}"


def test_a_picture_with_two_labels_is_refused(root):
    build_raf_db(root, [])
    add_lines(root, "train_00001.jpg 2")
    assert "clip train_00001 has label 1 and label 2" in refusal(root)


def test_a_picture_in_an_unknown_label_folder_has_no_label(root):
    build_raf_db(root, [], how="folders")
    trees.write_files(root, "DATASET/train/8/train_00099_aligned.jpg", "DATASET/train/1/other.jpg")
    manifest = read_manifest(root)
    assert manifest.clips.filter(clip_id="train_00099")["label"].item() is None
    assert [problem.line for problem in manifest.problems] == [
        "labels that are not a class of this dataset, ignored: 1 (train_00099: 8)",
        "images outside {train,test}/{1..7}/, left out: 1 (DATASET/train/1/other.jpg)",
    ]


def test_a_copy_without_its_list_or_folders_says_what_is_missing(root):
    build_raf_db(root, [])
    (root / LIST).unlink()
    with pytest.raises(
        UserError, match="the folder EmoLabel looks like raf-db, but this is missing or incomplete"
    ):
        read_manifest(root)
    assert "no EmoLabel/list_patition_label.txt and no folders {train,test}/{1..7}; complete it" in refusal(
        root
    )
