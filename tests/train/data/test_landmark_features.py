"""Features of clips from landmark tables: against a plain loop, shard by shard, and with damaged tables."""

import shutil

import made_up
import numpy as np
import polars as pl
import pytest
import synthetic_cache
from linked_copy import linked_copy
from synthetic_cache import SyntheticClip, write_cache

from dfer.schemas.support.errors import UserError
from dfer.train.data.caches import open_pool, usable
from dfer.train.data.landmark_features import LandmarkFeatures, clip_features, feature_count, frame_features


def in_a_loop(clip: SyntheticClip, size: int, scores: bool) -> list[float]:
    """The features of a clip, computed frame by frame and number by number."""
    frames = len(clip.landmarks)
    found = [k for k in range(frames) if clip.found[k]] or [*range(frames)]
    features = []
    if scores:
        known = [k for k in found if not np.isnan(clip.scores[k][0])]
        for score in range(52):
            logits = []
            for k in known:
                p = min(max(float(clip.scores[k][score]), 0.001), 0.999)
                logits.append(np.log(p / (1 - p)))
            features.append(sum(logits) / len(logits) if logits else float("nan"))
    for point in range(68):
        for axis in (0, 1):
            values = [float(clip.landmarks[k][point][axis]) / size for k in found]
            features.append(sum(values) / len(values))
    return features


def random_clip(seed: int, frames: int, size: int = 24) -> SyntheticClip:
    random = np.random.default_rng(seed)
    scores = random.choice([0.0, 1.0, 0.3, 0.0004, 0.9], (frames, 52))
    scores[random.random(frames) < 0.3] = np.nan
    return SyntheticClip(
        label="ab"[seed % 2],
        crops=np.zeros((frames, size, size, 3), np.uint8),
        keypoints=np.full((frames, 18, 2), size / 2),
        landmarks=random.uniform(-3, size + 3, (frames, 68, 2)),
        scores=scores,
        found=random.random(frames) < 0.6,
    )


@pytest.fixture(scope="module")
def clips() -> list[SyntheticClip]:
    """Nine clips: one without a face, one with no detected frame, one without any score; the rest at random."""
    clips = [random_clip(seed, frames=1 + seed) for seed in range(9)]
    clips[3] = SyntheticClip(label="a")
    clips[4].found[:] = False
    clips[5].scores[:] = np.nan
    return clips


@pytest.fixture(scope="module")
def cache(clips, tmp_path_factory):
    """The clips in three shards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic_cache, "CLIPS_IN_A_SHARD", 4)
        return write_cache(tmp_path_factory.mktemp("features") / "cache", clips)


def test_features_of_parts_of_the_clips_are_read_once_for_all_of_them(cache, tmp_path):
    copy = linked_copy(cache, tmp_path / "cache")
    pool = open_pool(copy)
    clips, features = usable(pool.clips), LandmarkFeatures(pool, pool.clips)
    every = clip_features(pool, clips)
    np.testing.assert_array_equal(features.of(clips[3:5]), every[3:5])
    shutil.rmtree(copy / "landmarks")
    np.testing.assert_array_equal(features.of(clips[::-2]), every[::-2])


def test_features_are_those_of_a_plain_loop_over_frames(cache, clips):
    pool = open_pool(cache)
    expected = [in_a_loop(clip, 24, scores=True) for clip in clips if clip.crops is not None]
    found = clip_features(pool, usable(pool.clips))
    assert found.dtype == np.float32 and found.shape == (8, feature_count(scores=True)) == (8, 188)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert np.isnan(found[4, :52]).all() and not np.isnan(found[:, 52:]).any()


def test_features_come_in_the_order_of_the_clips_asked_for(cache, clips):
    pool = open_pool(cache)
    every = usable(pool.clips)
    order = [7, 0, 4]
    np.testing.assert_array_equal(clip_features(pool, every[order]), clip_features(pool, every)[order])
    assert clip_features(pool, every.clear()).shape == (0, 188)


def test_rows_of_a_table_may_come_in_any_order(cache, tmp_path):
    copy = linked_copy(cache, tmp_path / "cache", "00001.parquet")
    path = copy / "landmarks/00001.parquet"
    pl.read_parquet(path).sample(fraction=1, shuffle=True, seed=1).write_parquet(path)
    found, expected = (clip_features(pool, usable(pool.clips)) for pool in map(open_pool, (copy, cache)))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_scores_are_left_out_if_one_of_several_caches_has_none(cache, tmp_path):
    plain = made_up.cache(tmp_path, "plain", [made_up.clip("a", 1, size=24)])
    pool = open_pool(cache, plain)
    found = clip_features(pool, usable(pool.clips))
    assert found.shape == (9, feature_count(scores=False)) == (9, 136)
    own = open_pool(cache)
    np.testing.assert_array_equal(found[:8], clip_features(own, usable(own.clips))[:, 52:])
    np.testing.assert_allclose(found[8], 11.5 / 24)


def test_the_features_of_frames_are_logits_and_shares_of_the_crop():
    points, scores = np.full((1, 68, 2), 64.0), np.full((1, 52), 0.5)
    scores[0, :2] = 0, np.nan
    features = frame_features(points, 128, scores)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features[0, :3], [np.log(0.001 / 0.999), np.nan, 0], rtol=1e-6)
    assert (features[0, 52:] == 0.5).all() and (frame_features(points, 128) == 0.5).all()


def damaged(path, change):
    change(pl.read_parquet(path)).write_parquet(path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "is missing or damaged (No such file"),
        (lambda path: path.write_bytes(b"PAR1"), "is missing or damaged ("),
        (lambda path: damaged(path, lambda t: t.drop("transform")), "is missing or damaged (unable to find"),
        (
            lambda path: damaged(path, lambda t: t.with_columns(landmarks=pl.lit(1.0))),
            "wrong columns: landmarks; extract this cache again",
        ),
        (
            lambda path: damaged(path, lambda t: t.filter(pl.col("clip_id") != "000001")),
            "the landmarks of 000001 are missing; extract this cache again",
        ),
        (
            lambda path: damaged(
                path, lambda t: t.with_columns(transform=pl.lit(None, t.schema["transform"]))
            ),
            "transform has a value that is null, NaN or Inf; extract this cache again",
        ),
    ],
)
def test_a_damaged_table_is_one_line_that_names_it(cache, tmp_path, damage, message):
    copy = linked_copy(cache, tmp_path / "cache", "00000.parquet")
    damage(copy / "landmarks/00000.parquet")
    pool = open_pool(copy)
    with pytest.raises(UserError) as raised:
        clip_features(pool, usable(pool.clips))
    assert str(copy / "landmarks/00000.parquet") in str(raised.value) and message in str(raised.value)


def test_shared_tables_have_the_same_features_without_a_pixel(here, sample_cache, scored_cache, tmp_path):
    for name, cache, scores in (("plain", sample_cache, False), ("scored", scored_cache, True)):
        shared = tmp_path / name
        assert here("pipeline", "share", cache, shared).returncode == 0
        assert not (shared / "faces").exists()
        pools = open_pool(cache), open_pool(shared, faces=False)
        full, alone = (clip_features(pool, usable(pool.clips)) for pool in pools)
        np.testing.assert_array_equal(full, alone)
        assert full.shape == (6, feature_count(scores))
