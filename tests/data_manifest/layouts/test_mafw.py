import pytest
import trees

from dfer.data_manifest.datasets import read_manifest
from dfer.data_manifest.reader import Options
from dfer.schemas.manifest import FRAME_FOLDER, VIDEO, fold_numbers
from dfer.schemas.support.errors import UserError


def test_single_labels_in_five_folds_are_read_and_compound_ones_left_out(root, video):
    ids = trees.build_mafw(root, [video])
    manifest = read_manifest(root)
    assert manifest.dataset == "mafw"
    assert manifest.clips["clip_id"].to_list() == ids and len(manifest.labels) == 11
    assert manifest.clips["path"][0] == "data/clips/00001.mp4" and set(manifest.clips["kind"]) == {VIDEO}
    assert fold_numbers(manifest.clips) == [1, 2, 3, 4, 5]
    assert {p.kind: p.count for p in manifest.problems} == {"compound": 2}


def test_compound_labels_are_kept_with_the_option(root, video):
    trees.build_mafw(root, [video])
    manifest = read_manifest(root, options=Options(compound=True))
    assert len(manifest.clips) == 24 and "anger_disgust" in manifest.labels and not manifest.problems
    assert manifest.clips.filter(label="anger_disgust").height == 2


def test_compound_labels_in_the_single_lists_are_left_out(root, video):
    trees.build_mafw(root, [video], compound=0)
    for file in (root / "Train & Test Set" / "single").rglob("*.txt"):
        file.write_text(file.read_text().replace("00001.mp4 anger", "00001.mp4 Anger_Sad"))
    manifest = read_manifest(root)
    assert len(manifest.clips) == 21 and {p.kind for p in manifest.problems} == {"compound"}


def test_a_clip_in_both_lists_has_its_compound_label_only_with_the_option(root, video):
    trees.build_mafw(root, [video], compound=0)
    for file in (root / "Train & Test Set" / "compound").rglob("*.txt"):
        text = file.read_text().replace("00001.mp4 anger\n", "00001.mp4 anger_sadness\n")
        file.write_text(text.replace("00002.mp4 disgust\n", ""))
    manifest = read_manifest(root)
    assert len(manifest.clips) == 22 and manifest.clips["label"][0] == "anger" and not manifest.problems
    manifest = read_manifest(root, options=Options(compound=True))
    assert len(manifest.clips) == 22 and not manifest.problems  # 00002 is in the single lists only
    assert manifest.clips["label"][:2].to_list() == ["anger_sadness", "disgust"]


def test_lists_with_only_compound_labels_are_refused_with_the_option_to_use(root, video):
    trees.build_mafw(root, [video], compound=0)
    for file in (root / "Train & Test Set" / "single").rglob("*.txt"):
        file.write_text("".join(f"{line}_calm\n" for line in file.read_text().splitlines()))
    with pytest.raises(UserError, match="no_caption: all labels are compound; keep them with --compound"):
        read_manifest(root)


def test_the_listed_file_is_used_if_another_format_is_next_to_it(root, video):
    trees.build_mafw(root, [video], compound=0)
    trees.write_files(root, "data/clips/00001.avi")
    manifest = read_manifest(root)
    assert manifest.clips["path"][0] == "data/clips/00001.mp4"
    assert [(p.kind, p.examples) for p in manifest.problems] == [("duplicate", ("data/clips/00001.avi",))]


def test_frame_folders_are_read_though_an_empty_folder_of_videos_comes_first(root, frames):
    trees.build_mafw(root, [frames], frames=True)
    (root / "data/clips").mkdir()
    clips = read_manifest(root).clips
    assert clips["path"][0] == "data/frames/00001" and set(clips["kind"]) == {FRAME_FOLDER}


@pytest.mark.parametrize("suffix", [".MP4", ".avi"])
def test_videos_of_another_format_are_found(root, video, suffix):
    trees.build_mafw(root, [video], compound=0)
    clips = root / "data" / "clips"
    for clip in list(clips.iterdir()):
        clip.rename(clip.with_suffix(suffix))
    manifest = read_manifest(root)
    assert not manifest.problems and manifest.clips["path"][0] == f"data/clips/00001{suffix}"


def test_lists_in_the_root_are_found(root, video):
    trees.build_mafw(root, [video])
    (root / "Train & Test Set" / "single").rename(root / "single")
    assert read_manifest(root).dataset == "mafw"
