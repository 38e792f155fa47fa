import shutil
import time

import pytest
import trees

from dfer.data_manifest.datasets import read_manifest
from dfer.data_manifest.labels import SEVEN
from dfer.schemas.manifest import FRAME_FOLDER, MISSING, VIDEO, fold_numbers, is_tested, is_trained
from dfer.schemas.support.errors import UserError


def lists(root, part, fold=1):
    return root / "EmoLabel_DataSplit" / f"{part}(single-labeled)" / f"set_{fold}.csv"


def problems(manifest):
    return {problem.kind: problem for problem in manifest.problems}


def test_frame_folders_in_five_folds_are_read(root, frames):
    ids = trees.build_dfew(root, [frames], clips=35)
    manifest = read_manifest(root)
    assert manifest.dataset == "dfew" and manifest.labels == tuple(sorted(SEVEN)) and not manifest.problems
    assert manifest.clips["clip_id"].to_list() == ids
    first = manifest.clips.row(0, named=True)
    assert (first["path"], first["kind"]) == ("Clip/clip_224x224/00001", FRAME_FOLDER)
    assert (first["label"], first["fold"], first["test_folds"]) == ("happiness", 1, None)
    assert [manifest.clips.filter(is_tested(fold)).height for fold in fold_numbers(manifest.clips)] == [7] * 5
    assert manifest.clips.filter(is_trained(1)).height == 28


def test_original_videos_are_found_by_their_number(root, video):
    trees.build_dfew(root, [video], originals=True)
    clips = read_manifest(root).clips
    assert clips["path"][:2].to_list() == ["Clip/original/part_2/1.mp4", "Clip/original/part_1/2.mp4"]
    assert set(clips["kind"]) == {VIDEO} and set(clips["bytes"]) == {3}


def test_only_a_file_name_that_is_a_number_is_a_clip(root, video):
    trees.build_dfew(root, [video], originals=True)
    original = root / "Clip/original"
    trees.write_files(original, "part_1/2.avi", "part_1/12_copy3.mp4", "part_1/0.5.mp4", f"{'9' * 23}.mp4")
    (original / "part_2/3.mp4").unlink()
    (original / "part_2/5.mp4").unlink()
    manifest = read_manifest(root)
    assert manifest.clips["path"][1] == "Clip/original/part_1/2.avi"
    assert manifest.clips.filter(kind=MISSING)["clip_id"].to_list() == ["00003", "00005"]
    found = problems(manifest)
    assert found["duplicate"].examples == ("Clip/original/part_1/2.mp4",)
    assert found["missing"].count == 2 and found["extra"].count == 2


def test_original_videos_are_read_though_an_empty_folder_comes_first(root, video):
    trees.build_dfew(root, [video], originals=True)
    trees.write_files(root, "Clip/clip_224x224/readme.txt")
    manifest = read_manifest(root)
    assert set(manifest.clips["kind"]) == {VIDEO} and not manifest.problems


def test_clips_in_another_known_folder_are_reported(root, frames):
    trees.build_dfew(root, [frames])
    shutil.rmtree(root / "Clip/clip_224x224_16f")
    trees.write_files(root, "Clip/original/part_1/3.mp4", "Clip/original/part_1/4.mp4")
    shutil.rmtree(root / "Clip/clip_224x224/00003")
    missing, elsewhere = read_manifest(root).problems
    assert (missing.kind, missing.count) == ("missing", 1)
    assert elsewhere.line == (
        "clips only in Clip/original, not read because the others are in Clip/clip_224x224: 1 "
        "(Clip/original/part_1/3.mp4)"
    )


def test_frame_folders_without_zeros_in_a_nested_folder_are_read(root, frames):
    ids = trees.build_dfew(root, [frames])
    clips = root / "Clip/clip_224x224"
    for folder in list(clips.iterdir()):
        folder.rename(folder.with_name(folder.name.lstrip("0")))
    clips.rename(root / "inner")
    clips.mkdir()
    (root / "inner").rename(clips / "clip_224x224")
    manifest = read_manifest(root)
    assert not manifest.problems and manifest.clips["clip_id"].to_list() == ids
    assert manifest.clips["path"][0] == "Clip/clip_224x224/clip_224x224/1"


def test_labels_as_a_spreadsheet_writes_them_are_read(root, frames):
    trees.build_dfew(root, [frames])
    for file in (root / "EmoLabel_DataSplit").rglob("*.csv"):
        file.write_text(file.read_text().replace(",1\n", ",1.0\n"))
    manifest = read_manifest(root)
    assert manifest.clips["label"][0] == "happiness" and not manifest.problems


def test_labels_counted_from_0_are_refused(root, frames):
    trees.build_dfew(root, [frames], clips=5)
    for file in (root / "EmoLabel_DataSplit").rglob("*.csv"):
        file.write_text(file.read_text().replace(",1\n", ",0\n"))
    with pytest.raises(UserError, match=r"set_1.csv, line 2: labels start at 0, DFEW's are 1–7; use"):
        read_manifest(root)


def test_a_video_among_the_frame_folders_is_reported(root, frames):
    trees.build_dfew(root, [frames])
    trees.write_files(root, "Clip/clip_224x224/00003.mp4", "Clip/clip_224x224/notes.txt")
    assert problems(read_manifest(root))["extra"].examples == ("Clip/clip_224x224/00003.mp4",)


def test_missing_extra_and_empty_clips_are_reported(root, frames):
    trees.build_dfew(root, [frames])
    shutil.rmtree(root / "Clip/clip_224x224_16f")
    folder = root / "Clip/clip_224x224"
    (folder / "00003").rename(folder / "00099")
    for image in (folder / "00005").iterdir():
        image.unlink()
    manifest = read_manifest(root)
    assert len(manifest.clips) == 14
    kinds = dict(manifest.clips.select("clip_id", "kind").iter_rows())
    assert kinds["00003"] == MISSING and kinds["00005"] == FRAME_FOLDER
    found = problems(manifest)
    assert {kind: problem.count for kind, problem in found.items()} == {"missing": 1, "extra": 1, "empty": 1}
    assert found["missing"].line == "listed but not on disk: 1 of 14 (Clip/clip_224x224/00003)"
    assert found["extra"].examples == ("Clip/clip_224x224/00099",)
    assert found["empty"].examples == ("Clip/clip_224x224/00005",)


def test_lists_of_the_published_size_are_read_in_seconds(root):
    trees.build_dfew(root, [], tested=trees.DFEW_TESTED)
    began = time.perf_counter()
    manifest = read_manifest(root)
    assert time.perf_counter() - began < 5
    assert (
        manifest.clips.filter(is_trained(1)).height,
        manifest.clips.filter(is_tested(1)).height,
    ) == trees.DFEW_FOLD_1
    assert [problem.kind for problem in manifest.problems] == ["missing"]


def test_words_are_labels_and_unknown_numbers_are_not(root, frames):
    ids = trees.build_dfew(root, [frames])
    for fold in range(1, 6):
        for part in ("train", "test"):
            text = lists(root, part, fold).read_text()
            for old, new in (("00001,1", "1,Happy"), ("00002,1", "00002,HAPPINESS"), ("00003,1", "00003,9")):
                text = text.replace(old, new)
            lists(root, part, fold).write_text(text)
    manifest = read_manifest(root)
    labels = dict(manifest.clips.select("clip_id", "label").iter_rows())
    assert list(labels) == ids
    assert (labels["00001"], labels["00002"], labels["00003"]) == ("happiness", "happiness", None)
    found = problems(manifest)
    assert found["labels"].text.endswith("(HAPPINESS → happiness, Happy → happiness)")
    assert found["unknown label"].examples == ("00003: 9",)


def test_repeated_rows_are_reported(root, frames):
    trees.build_dfew(root, [frames])
    with lists(root, "train").open("a") as file:
        file.write("00002,1\r\n")
    manifest = read_manifest(root)
    assert len(manifest.clips) == 14 and problems(manifest)["duplicate"].count == 1


def test_folds_that_are_not_a_partition_are_kept_as_lists_and_reported(root, frames):
    trees.build_dfew(root, [frames])
    with lists(root, "test", 2).open("a") as file:
        file.write("00001,1\r\n")
    of_two = lists(root, "train", 2)
    of_two.write_text(of_two.read_text().replace("00001,1\n", ""))
    of_one = lists(root, "test", 1)
    of_one.write_text(of_one.read_text().replace("00006,2\n", ""))
    manifest = read_manifest(root)
    odd = manifest.clips.filter(manifest.clips["fold"].is_null())
    assert odd.select("clip_id", "test_folds", "train_folds").rows() == [
        ("00001", [1, 2], [3, 4, 5]),
        ("00006", [], [2, 3, 4, 5]),
    ]
    lines = [problem.line for problem in manifest.problems if problem.kind == "folds"]
    assert lines == [
        "tested in several folds (the folds are not a partition): 1 of 14 (00001)",
        "tested in no fold (the folds are not a partition): 1 of 14 (00006)",
    ]


def test_a_single_fold_is_read_as_a_split(root, frames):
    trees.build_dfew(root, [frames])
    for fold in range(2, 6):
        for part in ("train", "test"):
            lists(root, part, fold).unlink()
    manifest = read_manifest(root)
    assert manifest.clips["split"].value_counts().sort("split").rows() == [("test", 3), ("train", 11)]
    assert manifest.clips["fold"].is_null().all()
    line = "clips of fold 1, the only one with lists, read as a split: 14"
    assert [problem.line for problem in manifest.problems] == [line]


def test_a_clip_in_both_parts_of_a_fold_is_refused(root, frames):
    trees.build_dfew(root, [frames])
    with lists(root, "train").open("a") as file:
        file.write("00001,1\r\n")
    with pytest.raises(
        UserError, match=r"set_1.csv, line \d+: clip 00001 is in both train and test of fold 1"
    ) as e:
        read_manifest(root)
    assert "remove it from one" in str(e.value) and "\n" not in str(e.value)


def test_empty_lists_are_refused(root):
    trees.build_dfew(root, [], clips=0)
    with pytest.raises(UserError, match="its lists name no clips"):
        read_manifest(root)


def test_a_clip_with_two_labels_is_refused(root, frames):
    trees.build_dfew(root, [frames])
    text = lists(root, "train", 3).read_text()
    lists(root, "train", 3).write_text(text.replace("00001,1", "00001,2"))
    with pytest.raises(UserError, match="clip 00001 has label 1 and label 2"):
        read_manifest(root)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda file: file.write_text("video_name,label\n00001;1\n"),
            r"set_2.csv, line 2: expected a line like '00001,3', found '00001;1'",
        ),
        (lambda file: file.unlink(), r"set_2.csv: no such file"),
    ],
)
def test_a_list_that_cannot_be_read_is_refused_in_one_line(root, frames, spoil, message):
    trees.build_dfew(root, [frames])
    spoil(lists(root, "train", 2))
    with pytest.raises(UserError, match=message):
        read_manifest(root)
