import pytest
import trees

from dfer.data_manifest.datasets import read_manifest
from dfer.schemas.support.errors import UserError


def test_file_names_give_all_columns_and_silent_copies_are_left_out(root, video):
    ids = trees.build_ravdess(root, [video])
    manifest = read_manifest(root)
    assert manifest.dataset == "ravdess" and manifest.clips["clip_id"].to_list() == sorted(ids)
    assert len(manifest.labels) == 8 and "calm" in manifest.labels
    row = manifest.clips.row(0, named=True)
    assert (row["label"], row["subject"], row["scene"], row["intensity"]) == (
        "neutral",
        "01",
        "speech",
        "normal",
    )
    assert [(p.kind, p.examples) for p in manifest.problems] == [
        ("left out", ("Video_Speech_Actor_01/Actor_01/02-01-01-01-01-01-01.mp4",))
    ]


def test_other_names_are_reported_and_a_tree_of_them_is_refused(root, video):
    trees.build_ravdess(root, [video], silent=False)
    trees.write_files(root, "Actor_01/01-01-09-01-01-01-01.mp4", "other/x.mp4")
    (problem,) = read_manifest(root).problems
    assert (problem.kind, problem.count) == ("unknown name", 2)
    with pytest.raises(UserError, match="no clip has a name like 01-01-06-01-02-01-12"):
        read_manifest(root / "other", "ravdess")


def test_a_tree_of_silent_videos_is_read(root, video):
    for name in ("02-01-01-01-01-01-01", "02-02-05-02-02-02-24"):
        trees.write_video(root / "Actor_01" / f"{name}.mp4", video)
    manifest = read_manifest(root)
    assert not manifest.problems
    assert manifest.clips.select("label", "scene", "intensity", "subject").rows() == [
        ("neutral", "speech", "normal", "01"),
        ("anger", "song", "strong", "24"),
    ]


def test_actors_unpacked_twice_are_read_once_and_audio_only_files_are_left_out(root, video):
    ids = trees.build_ravdess(root, [video], silent=False)
    for k in ids:
        trees.write_video(root / f"Actor_{k[-2:]}" / f"{k}.mp4", video)
    audio = ["Actor_01/03-01-01-01-01-01-01.mp4", "Actor_01/03-01-08-02-01-01-01.mp4"]
    manifest = read_manifest(trees.write_files(root, *audio))
    assert manifest.clips["clip_id"].to_list() == sorted(ids)
    copies, left_out = manifest.problems
    assert copies.count == 18 and copies.text == "copies of clips in Actor_01, Actor_02, left out"
    assert (left_out.kind, list(left_out.examples)) == ("left out", audio)
