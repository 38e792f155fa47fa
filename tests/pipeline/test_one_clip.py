"""`dfer.pipeline.extract_clip`: one clip from Python."""

import numpy as np
import polars as pl

from dfer import pipeline
from dfer.schemas.face_shards import ShardReader


def test_a_clip_is_that_of_the_cache_and_nothing_is_printed(sample_clips, sample_cache, capfd):
    row = pl.read_parquet(sample_cache / "clips.parquet").row(0, named=True)
    clip = pipeline.extract_clip(sample_clips / row["path"])
    stored = ShardReader(sample_cache, 18).read(row["shard"], row["row"], row["clip_id"])
    assert (clip.status, clip.reason, clip.fingerprint) == ("ok", None, row["fingerprint"])
    assert clip.track.crops == [bytes(crop) for crop in stored.crops]
    assert np.array_equal(clip.track.crop_landmarks.astype(np.float32), stored.landmarks)
    assert (len(clip.track.time_s), clip.facts.fps) == (row["frames"], row["fps"])
    assert capfd.readouterr() == ("", "")


def test_a_file_that_is_no_clip_has_a_reason(tmp_path):
    assert pipeline.extract_clip(tmp_path / "missing.mp4").reason == "the file is missing"
