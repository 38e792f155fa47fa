import json
import shutil

import numpy as np
import polars as pl
import pytest
from folder_bytes import contents

from dfer.schemas.face_shards import ShardReader
from dfer.schemas.read_cache import read_clips

SMALL = ("--frames", 8, "--workers", 1)


def extract(here, source, out, *options):
    outcome = here("pipeline", "extract", source, "--out", out, "--json", *SMALL, *options)
    assert outcome.returncode == 0, outcome.stderr
    return json.loads(outcome.stdout)


@pytest.fixture(scope="module")
def mixed(sample_clips, moving_astronaut, write_video, two_gaps, tmp_path_factory):
    """Two good clips, one with frames that show no face, and one without any."""
    source = tmp_path_factory.mktemp("mixed") / "clips"
    source.mkdir()
    shutil.copy(sample_clips / "1001_DFA_ANG_XX.flv", source / "actor.flv")
    write_video(source / "gaps.mp4", two_gaps)
    write_video(source / "nobody.mp4", [np.full((120, 160, 3), 90, np.uint8)] * 4)
    return source


@pytest.fixture(scope="module")
def two_gaps(moving_astronaut):
    frames = moving_astronaut(9)
    for t in (0, 5):
        frames[t] = frames[t] // 6 + 100
    return frames


@pytest.fixture(scope="module")
def first(here, mixed, tmp_path_factory):
    out = tmp_path_factory.mktemp("first") / "cache"
    assert extract(here, mixed, out)["reused"] == 0
    return out


OTHER = ("--size", 96, "--margin", 0.3, "--align", "box", "--blendshapes")


@pytest.fixture(scope="module")
def fresh(here, mixed, tmp_path_factory):
    out = tmp_path_factory.mktemp("fresh") / "cache"
    extract(here, mixed, out, *OTHER)
    return out


def test_another_crop_with_reused_landmarks_is_the_same_as_a_fresh_extraction(
    here, mixed, first, fresh, tmp_path
):
    assert extract(here, mixed, tmp_path / "again", *OTHER, "--reuse", first)["reused"] == 3
    assert contents(tmp_path / "again") == contents(fresh)


def test_shared_tables_have_no_picture_and_give_the_same_crops_from_renamed_videos(
    here, mixed, first, fresh, tmp_path
):
    outcome = here("pipeline", "share", first, tmp_path / "shared")
    assert outcome.returncode == 0, outcome.stderr
    shared = contents(tmp_path / "shared")
    assert not any(b"\xff\xd8\xff" in content for content in shared.values())
    assert not any(str(mixed).encode() in content for content in shared.values())
    assert {path.parts[0] for path in shared} == {"cache.json", "clips.parquet", "clips", "landmarks"}
    theirs = tmp_path / "theirs" / "other label"
    theirs.mkdir(parents=True)
    for clip in mixed.iterdir():
        shutil.copy(clip, theirs / f"renamed_{clip.name}")
    counts = extract(here, theirs.parent, tmp_path / "out", *OTHER, "--reuse", tmp_path / "shared")
    assert counts["reused"] == 3
    assert (tmp_path / "out" / "faces" / "00000.arrow").stat().st_size > 0
    for table in ("landmarks/00000.parquet",):
        mine, other = (pl.read_parquet(cache / table).drop("clip_id") for cache in (fresh, tmp_path / "out"))
        assert mine.equals(other)


def test_commands_that_need_faces_refuse_shared_tables(here, sample_cache, tmp_path):
    shared, run = tmp_path / "shared", tmp_path / "run"
    assert here("pipeline", "share", sample_cache, shared).returncode == 0
    for command in (
        ("pipeline", "verify", shared),
        ("pipeline", "report", shared, "--out", tmp_path / "report.html"),
        ("train", "run", shared, "--out", run),
        ("train", "crossval", shared, "--out", run, "--folds", "subject:2"),
        ("train", "sweep", "lambda", shared, "--out", run),
    ):
        outcome = here(*command)
        assert (outcome.returncode, outcome.stdout) == (1, "")
        assert outcome.stderr == (
            f"{command[0]}: {shared} has landmark tables but no faces (it comes from `pipeline share`); "
            f"make the crops with `pipeline extract SOURCE --out CACHE --reuse {shared}`\n"
        )
    assert list(tmp_path.iterdir()) == [shared]


def test_expression_scores_are_added_and_change_nothing_else(first, fresh, here, mixed, tmp_path):
    extract(here, mixed, tmp_path / "with", "--blendshapes", "--reuse", first)
    extract(here, mixed, tmp_path / "alone", "--blendshapes")
    assert contents(tmp_path / "with") == contents(tmp_path / "alone")
    plain, scored = (
        pl.read_parquet(cache / "landmarks" / "00000.parquet") for cache in (first, tmp_path / "with")
    )
    assert plain["blendshapes"].null_count() == len(plain)
    assert plain.drop("blendshapes").equals(scored.drop("blendshapes"))
    seen = scored.filter(pl.col("clip_id") == "actor.flv")["blendshapes"]
    assert seen.null_count() == 0
    scores = seen.to_numpy()
    assert scores.shape == (8, 52) and scores.min() >= 0 and scores.max() <= 1 and scores.max(1).min() > 0.1


def test_the_summary_counts_the_reused_clips(here, mixed, first, tmp_path):
    outcome = here(
        "pipeline", "extract", mixed, "--out", tmp_path / "out", *SMALL, "--size", 64, "--reuse", first
    )
    assert "landmarks reused for 3 of 3 extracted clips" in outcome.stdout


def test_caches_that_cannot_be_reused_are_refused_in_one_line(here, mixed, first, tmp_path):
    damaged = shutil.copytree(first, tmp_path / "damaged")
    table = damaged / "landmarks" / "00000.parquet"
    table.write_bytes(table.read_bytes()[:100])
    calls = {
        "other settings": ((first, "--frames", 16), "made with other settings"),
        "no cache": ((tmp_path,), "not a landmark cache"),
        "damaged": ((damaged,), "missing or damaged"),
    }
    for name, ((folder, *options), message) in calls.items():
        call = ("pipeline", "extract", mixed, "--out", tmp_path / name, *SMALL, "--reuse", folder, *options)
        outcome = here(*call)
        assert outcome.returncode == 1, name
        (line,) = outcome.stderr.splitlines()
        assert message in line, (name, line)


def test_a_reused_clip_is_not_detected_again(here, mixed, first, tmp_path):
    """A changed score in the earlier cache appears in the new one, which a detection would have replaced."""
    changed = shutil.copytree(first, tmp_path / "changed")
    path = changed / "landmarks" / "00000.parquet"
    table = pl.read_parquet(path).with_columns(score=pl.lit(0.125, pl.Float32))
    table.write_parquet(path)
    extract(here, mixed, tmp_path / "out", "--reuse", changed)
    made = pl.read_parquet(tmp_path / "out" / "landmarks" / "00000.parquet")
    assert made["score"].unique().to_list() == [0.125]
    assert read_clips(tmp_path / "out")["status"].to_list() == ["ok", "ok", "no_face"]


def test_frames_without_a_face_have_no_expression_scores(here, moving_astronaut, write_video, tmp_path):
    nobody = [np.full((240, 320, 3), 90, np.uint8)] * 4
    write_video(tmp_path / "clips" / "leaves.mp4", [*moving_astronaut(4), *nobody])
    extract(here, tmp_path / "clips", tmp_path / "cache", "--blendshapes")
    landmarks = pl.read_parquet(tmp_path / "cache" / "landmarks" / "00000.parquet")
    scored = landmarks["blendshapes"].is_not_null()
    assert scored.to_list() == landmarks["detector"].is_not_null().to_list() == [*4 * [True], *4 * [False]]
    assert landmarks["blendshapes"].dtype == pl.Array(pl.Float32, 52)
    stored = ShardReader(tmp_path / "cache", 18).read(0, 0, "leaves.mp4").blendshapes
    assert np.isnan(stored[4:]).all() and np.array_equal(stored[:4], np.stack(landmarks["blendshapes"][:4]))
    assert here("pipeline", "verify", tmp_path / "cache").returncode == 0
