import trees

from data_manifest.datasets import read_manifest
from schemas.manifest import MANIFEST_SCHEMA


def test_names_give_label_subject_and_intensity(root, video):
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


def test_a_stray_video_has_no_label_and_takes_none_away(root, video):
    trees.build_crema_d(root, [video], actors=[1001])
    trees.write_video(root / "holiday.mp4", video)
    clips = read_manifest(root).clips
    assert clips.filter(label="anger")["clip_id"].to_list() == ["1001_DFA_ANG_XX"]
    assert clips["label"].null_count() == 1 and len(clips) == 7
