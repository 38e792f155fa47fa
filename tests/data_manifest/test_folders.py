import trees

from data_manifest.datasets import read_manifest
from schemas.manifest import FRAME_FOLDER, VIDEO


def test_labels_with_and_without_splits(root, video, frames):
    for splits in (("train", "test"), ()):
        base = root / ("split" if splits else "plain")
        for split in splits or ("",):
            for label in ("happy", "sad"):
                trees.write_video(base / split / label / "b (2).mp4", video)
                trees.write_frame_folder(base / split / label / "c", frames)
        clips = read_manifest(base).clips
        assert set(clips["kind"]) == {VIDEO, FRAME_FOLDER} and set(clips["label"]) == {"happy", "sad"}
        assert set(clips["split"]) == (set(splits) or {None})


def test_spellings_of_one_label_become_one_and_are_reported(root, video):
    for label in ("Angry", "Anger", "anger", "Happy", "bored", "Bored"):
        trees.write_video(root / label / "a.mp4", video)
    manifest = read_manifest(root)
    assert manifest.labels == ("Happy", "anger", "bored")
    (problem,) = manifest.problems
    assert problem.kind == "labels" and problem.count == 3
    assert problem.text.endswith("Anger → anger, Angry → anger, Bored → bored")


def test_an_empty_folder_among_frame_folders_is_a_clip_without_frames(root, frames, video):
    trees.write_frame_folder(root / "happy" / "a", frames)
    trees.write_frame_folder(root / "happy" / "b", [])
    (root / "sad").mkdir()
    manifest = read_manifest(root)
    assert manifest.clips.select("path", "kind").rows() == [
        ("happy/a", FRAME_FOLDER),
        ("happy/b", FRAME_FOLDER),
    ]
    assert [(p.kind, p.examples) for p in manifest.problems] == [("empty", ("happy/b",))]


def test_an_empty_folder_beside_videos_is_none(root, video):
    trees.write_video(root / "happy" / "a.mp4", video)
    (root / "happy" / "thumbnails").mkdir()
    assert len(read_manifest(root).clips) == 1
