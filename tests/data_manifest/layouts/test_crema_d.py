import pytest
import trees

from dfer.data_manifest.datasets import read_manifest
from dfer.schemas.manifest import MANIFEST_SCHEMA
from dfer.schemas.support.errors import UserError


def test_file_names_give_label_subject_and_intensity(root, video):
    ids = trees.build_crema_d(root, [video])
    trees.write_video(root / "VideoFlash" / "1091_IEO_SAD_HI.flv", video)
    trees.write_video(root / "VideoFlash" / "1040_ITH_SAD_X.flv", video)
    manifest = read_manifest(root)
    assert manifest.dataset == "crema-d" and manifest.clips.schema == MANIFEST_SCHEMA
    assert set(ids) < set(manifest.clips["clip_id"])
    rows = {row["clip_id"]: row for row in manifest.clips.iter_rows(named=True)}
    known = rows["1091_IEO_SAD_HI"]
    assert (known["label"], known["subject"], known["intensity"]) == ("sadness", "1091", "HI")
    assert rows["1040_ITH_SAD_X"]["intensity"] == rows["1001_DFA_ANG_XX"]["intensity"] == "XX"


@pytest.mark.parametrize("name", ["holiday", "1٠٠2_DFA_ANG_XX"])
def test_a_video_with_another_name_has_no_label_and_is_reported(root, video, name):
    trees.build_crema_d(root, [video], actors=[1001])
    trees.write_video(root / f"{name}.mp4", video)
    manifest = read_manifest(root)
    clips = manifest.clips
    assert clips.filter(label="anger")["clip_id"].to_list() == ["1001_DFA_ANG_XX"]
    assert clips["label"].null_count() == 1 and len(clips) == 7
    (problem,) = manifest.problems
    assert problem.line == f"clips without a name like 1001_DFA_ANG_XX, so without a label: 1 ({name}.mp4)"


def test_a_tree_without_such_a_name_is_refused(root, video):
    trees.build_ravdess(root, [video])
    with pytest.raises(
        UserError,
        match=r"no clip has a name like 1001_DFA_ANG_XX \(found Video_Song_Actor_01/Actor_01/01-02-",
    ):
        read_manifest(root, "crema-d")


def test_one_such_name_among_frame_folders_is_not_crema_d(root):
    trees.write_files(root, "1001_DFA_ANG_XX.flv", "happy/1/1.jpg", "happy/2/1.jpg", "sad/1/1.jpg")
    assert read_manifest(root).dataset == "folders"


def test_clips_sorted_into_split_folders_are_reported(root):
    trees.write_files(root, "train/relaxed/1001_DFA_ANG_XX.flv", "test/stressed/1001_DFA_SAD_XX.flv")
    (problem,) = read_manifest(root).problems
    assert problem.kind == "folders" and problem.count == 2
    assert "named test, train, not used as splits (--dataset folders" in problem.text


def test_copies_are_left_out_and_the_original_folder_is_kept(root):
    trees.write_files(
        root, "Converted/1001_DFA_ANG_XX.mp4", "VideoFlash/1001_DFA_ANG_XX.flv", "a.mp4", "b/a.mp4"
    )
    trees.write_files(root, "VideoFlash/1001_DFA_SAD_XX.flv", "Converted/1001_DFA_HAP_XX.mp4")
    manifest = read_manifest(root)
    assert manifest.clips.filter(clip_id="1001_DFA_ANG_XX")["path"].item() == "VideoFlash/1001_DFA_ANG_XX.flv"
    assert len(manifest.clips) == 5  # clips with other names are identified by path
    (problem,) = [p for p in manifest.problems if p.kind == "duplicate"]
    assert problem.line == "copies of clips in VideoFlash, left out: 1 (Converted/1001_DFA_ANG_XX.mp4)"
