"""`pipeline.open_cache`: a finished cache from Python."""

import shutil

import numpy as np
import polars as pl
import pytest

from dfer import pipeline
from dfer.schemas.support.errors import UserError


def test_it_gives_the_clips_their_tables_and_their_crops(sample_clips, sample_cache):
    cache = pipeline.open_cache(sample_cache)
    assert len(cache) == len(cache.clips) == 6 and [*cache] == cache.clips["clip_id"].to_list()
    clip = next(iter(cache))
    table, stored, frames = cache.landmarks(clip), cache[clip], cache.frames(clip)
    assert frames.shape == (len(table), cache.info.crop_size, cache.info.crop_size, 3)
    assert len(stored.crops) == len(table) and table["clip_id"].unique().to_list() == [clip]
    points, transform = table["landmarks"].to_numpy(), table["transform"].to_numpy()
    in_crop = np.einsum("tij,tpj->tpi", transform[:, :, :2], points) + transform[:, None, :, 2]
    assert np.allclose(in_crop, stored.landmarks, atol=1e-2)
    fresh = pipeline.extract_clip(sample_clips / cache.clips["path"][0])
    assert fresh.track.crops == [bytes(crop) for crop in stored.crops]


def test_what_it_cannot_give_is_one_line(sample_cache, tmp_path):
    cache = pipeline.open_cache(sample_cache)
    assert "nobody" not in cache
    with pytest.raises(UserError, match="clip nobody: there is no such clip"):
        cache["nobody"]
    with pytest.raises(UserError, match="not a landmark cache"):
        pipeline.open_cache(tmp_path)
    broken = shutil.copytree(sample_cache, tmp_path / "broken")
    clips = pl.read_parquet(broken / "clips.parquet")
    lost = clips.with_columns(
        status=pl.when(pl.int_range(pl.len()) == 0).then(pl.lit("no_face")).otherwise("status"),
        reason=pl.when(pl.int_range(pl.len()) == 0).then(pl.lit("no face in 32 frames")),
    )
    lost.write_parquet(broken / "clips.parquet")
    with pytest.raises(UserError, match="it is no_face: no face in 32 frames"):
        pipeline.open_cache(broken).landmarks(clips["clip_id"][0])
    (broken / "landmarks/00000.parquet").write_bytes(b"")
    with pytest.raises(UserError, match="missing or damaged"):
        pipeline.open_cache(broken).landmarks(clips["clip_id"][1])
