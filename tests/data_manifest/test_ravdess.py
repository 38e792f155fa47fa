import trees

from data_manifest.datasets import read_manifest


def test_names_give_everything_and_silent_twins_are_left_out(root, video):
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
        ("left out", ("Actor_01/02-01-01-01-01-01-01.mp4",))
    ]


def test_silent_videos_alone_are_the_dataset(root, video):
    for name in ("02-01-01-01-01-01-01", "02-02-05-02-02-02-24"):
        trees.write_video(root / "Actor_01" / f"{name}.mp4", video)
    manifest = read_manifest(root)
    assert not manifest.problems
    assert manifest.clips.select("label", "scene", "intensity", "subject").rows() == [
        ("neutral", "speech", "normal", "01"),
        ("anger", "song", "strong", "24"),
    ]
