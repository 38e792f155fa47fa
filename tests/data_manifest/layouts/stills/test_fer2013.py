import shutil

import pytest
from still_trees import build_fer2013
from tree_files import write_text

from dfer.data_manifest.datasets import read_manifest
from dfer.data_manifest.labels import SEVEN
from dfer.schemas.manifest import IMAGE
from dfer.schemas.support.errors import UserError

ORDER = ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]


def change_line(file, number, change):
    lines = file.read_text().split("\n")
    lines[number - 1] = change(lines[number - 1])
    file.write_text("\n".join(lines))


def refusal(root):
    with pytest.raises(UserError) as error:
        read_manifest(root, "fer2013")
    return str(error.value).removeprefix(f"{root}/")


@pytest.mark.parametrize("folder", ["", "fer2013/"])
def test_every_row_is_a_still(root, folder):
    ids = build_fer2013(root, [], name=f"{folder}fer2013.csv")
    manifest = read_manifest(root)
    clips = manifest.clips
    assert manifest.dataset == "fer2013" and manifest.root == root and not manifest.problems
    assert (
        clips["path"].to_list() == clips["clip_id"].to_list() == ids
        and ids[12] == f"{folder}fer2013.csv/000012"
    )
    assert clips["label"].to_list() == ORDER * 3 and manifest.labels == tuple(sorted(SEVEN))
    assert set(clips["kind"]) == {IMAGE} and set(clips["bytes"]) == {48 * 48 * 2 - 1}
    assert clips["split"].to_list() == ["train"] * 14 + [
        "val" if k % 2 == 0 else "test" for k in range(14, 21)
    ]


def test_the_file_itself_can_be_given(root):
    ids = build_fer2013(root, [], 7)
    for dataset in ("auto", "fer2013"):
        manifest = read_manifest(root / "fer2013.csv", dataset)
        assert manifest.root == root and manifest.clips["clip_id"].to_list() == ids


def test_columns_in_another_order_with_blanks_are_read(root):
    rows = [f"{k % 7}, Training, 1 2 3" for k in range(7)]
    write_text(root / "icml_face_data.csv", ["emotion, Usage, pixels", *rows], end="\r\n", bom=True)
    shutil.copy(root / "icml_face_data.csv", root / "train.csv")  # the archive has both
    clips = read_manifest(root).clips
    assert clips["label"].to_list() == ORDER and clips["path"][6] == "icml_face_data.csv/000006"


def test_blank_lines_are_not_rows(root):
    write_text(root / "fer2013.csv", ["emotion,pixels,Usage", "0,1 2,Training", "", "1,3 4,Training", "", ""])
    clips = read_manifest(root).clips
    assert clips.select("path", "label").rows() == [
        ("fer2013.csv/000000", "anger"),
        ("fer2013.csv/000001", "disgust"),
    ]


def test_files_per_split_are_read_and_a_test_file_without_emotions_has_no_labels(root):
    write_text(root / "train.csv", ["emotion,pixels", "0,1 2", "3,1 2"])
    write_text(root / "test.csv", ["pixels", "1 2"])
    manifest = read_manifest(root)
    assert manifest.clips.select("path", "label", "split").rows() == [
        ("test.csv/000000", None, "test"),
        ("train.csv/000000", "anger", "train"),
        ("train.csv/000001", "happiness", "train"),
    ]
    assert [p.line for p in manifest.problems] == ["pictures without an emotion: 1 of 3 (test.csv/000000)"]


def test_a_wrong_emotion_has_no_label_and_is_reported(root):
    build_fer2013(root, [])
    change_line(root / "fer2013.csv", 4, lambda line: "7" + line[1:])
    manifest = read_manifest(root)
    assert manifest.clips["label"][2] is None
    assert [p.line for p in manifest.problems] == [
        "labels that are not a class of this dataset, ignored: 1 (fer2013.csv/000002: 7)"
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda line: line[:100], "Usage is missing, not one of Training, PublicTest, PrivateTest"),
        (lambda line: line + "s", "Usage is Trainings, not one of Training, PublicTest, PrivateTest"),
    ],
)
def test_a_damaged_row_is_refused_with_its_line(root, change, message):
    build_fer2013(root, [])
    change_line(root / "fer2013.csv", 5, change)
    assert refusal(root) == f"fer2013.csv, line 5: {message}; download the file again"


def test_a_row_with_too_many_cells_is_refused(root):
    build_fer2013(root, [])
    change_line(root / "fer2013.csv", 5, lambda line: line + ",a,b")
    assert (
        refusal(root)
        == "fer2013.csv, line 5: 5 cells where the first line has 3; download or unpack it again"
    )


def test_a_row_without_pixels_keeps_its_number_and_is_reported(root):
    build_fer2013(root, [])
    change_line(root / "fer2013.csv", 5, lambda line: "3,,Training")
    change_line(root / "fer2013.csv", 6, lambda line: '4,"",Training')
    manifest = read_manifest(root)
    assert len(manifest.clips) == 21
    assert manifest.clips.select("path", "label", "split", "bytes").rows()[3:5] == [
        ("fer2013.csv/000003", "happiness", "train", 0),
        ("fer2013.csv/000004", "sadness", "train", 0),
    ]
    assert [p.line for p in manifest.problems] == [
        "rows without pixels, undecodable: 2 of 21 (fer2013.csv/000003, fer2013.csv/000004)"
    ]


@pytest.mark.parametrize("content", ["emotion;pixels;Usage\n0;1 2;Training\n", ""])
@pytest.mark.parametrize(
    ("given", "dataset"), [("", "auto"), ("", "fer2013"), ("fer2013.csv", "auto"), ("fer2013.csv", "fer2013")]
)
def test_a_file_that_cannot_be_used_is_named(root, content, given, dataset):
    (root / "fer2013.csv").write_text(content)
    with pytest.raises(UserError, match=r"fer2013.csv: no column pixels in its first line, which should be"):
        read_manifest(root / given, dataset)


def test_a_folder_without_the_file_says_what_is_expected(root):
    with pytest.raises(
        UserError, match=r"no fer2013.csv with the columns emotion, pixels and Usage; put it there"
    ):
        read_manifest(root, "fer2013")


def test_a_table_of_clips_with_a_similar_name_is_a_table(root):
    write_text(root / "fer2013.csv", ["path,label", "happy/a.jpg,happy"])
    write_text(root / "happy" / "a.jpg", ["x"])
    assert read_manifest(root / "fer2013.csv").dataset == "table"
