"""Several people in a cache: rows, reuse, verification, kills, slices."""

import dataclasses
import json
import runpy
import shutil
import signal
from pathlib import Path

import polars as pl
import pytest
from folder_bytes import contents
from people_clips import side_by_side, two_people
from PIL import Image

from dfer.data_manifest.datasets import read_manifest
from dfer.pipeline.cache import seal
from dfer.pipeline.cache.reuse import Reuse
from dfer.pipeline.cache.verify import verify
from dfer.pipeline.clip import extract_clip
from dfer.pipeline.config import ExtractConfig
from dfer.schemas import cache as layout
from dfer.schemas.read_cache import read_clips
from dfer.schemas.support.errors import UserError
from dfer.train.data.caches import open_pool

build = runpy.run_path(str(Path(__file__).parents[1] / "killer" / "build.py"))["build"]
CONFIG = ExtractConfig(people="all", frames=4, shard_clips=2)
OPTIONS = ("--people", "all", "--frames", 4, "--shard-clips", 2)
IDS = ["happy/pair.mp4", "happy/pair.mp4#2", "sad/one.mp4", "sad/pair.mp4", "sad/pair.mp4#2", "sad/text.mp4"]


@pytest.fixture(scope="module")
def source(sample_clips, write_video, tmp_path_factory):
    """Two videos with two people, one with one, and a text; in two shards, the first of which has three rows."""
    root = tmp_path_factory.mktemp("people") / "clips"
    astronaut, actor = two_people(sample_clips, 4)
    write_video(root / "happy" / "pair.mp4", side_by_side(astronaut, actor))
    write_video(root / "sad" / "one.mp4", astronaut)
    write_video(root / "sad" / "pair.mp4", side_by_side(actor, astronaut))
    (root / "sad" / "text.mp4").write_text("not a video")
    return root


@pytest.fixture(scope="module")
def job(source, model_paths):
    """What the cache is built from, extracted in this process."""
    manifest = read_manifest(source)
    clips = {path: extract_clip(source / path, CONFIG, model_paths) for path in manifest.clips["path"]}
    return {"manifest": manifest, "config": CONFIG, "clips": clips}


@pytest.fixture(scope="module")
def cache(job, tmp_path_factory):
    folder = tmp_path_factory.mktemp("people-cache") / "cache"
    build(folder, **job)
    return folder


def test_each_further_person_is_a_row_without_a_label(cache):
    people = read_clips(cache, people=True)
    assert people["clip_id"].to_list() == IDS
    assert people["person"].to_list() == [1, 2, 1, 1, 2, 1]
    assert people["path"].to_list() == [name.removesuffix("#2") for name in IDS]
    assert people["label"].to_list() == ["happy", None, "sad", "sad", None, "sad"]
    assert people["shard"].to_list() == [0, 0, 0, 1, 1, 1]
    assert people["row"].to_list() == [0, 1, 2, 0, 1, None]
    own = read_clips(cache)
    assert own.schema == layout.CLIPS_SCHEMA
    assert own["clip_id"].to_list() == [name for name in IDS if "#" not in name]
    assert list(verify(cache)) == []


def test_nobody_trains_on_further_people_and_they_are_no_repeated_clips(cache, tmp_path):
    pool = open_pool(cache)
    assert len(pool.clips) == 4 and "person" not in pool.clips.columns
    shutil.copytree(cache, tmp_path / "copy")
    (note,) = open_pool(cache, tmp_path / "copy").notes
    assert note.startswith("warning: 3 clips in more than one cache")


def test_the_command_makes_the_same_bytes_and_counts_clips_and_people(here, source, cache, tmp_path):
    out = tmp_path / "cache"
    command = ("pipeline", "extract", source, "--out", out, *OPTIONS, "--workers", 2)
    outcome = here(*command, "--slice", "0/2")
    assert outcome.returncode == 0, outcome.stderr
    outcome = here(*command, "--slice", "1/2")
    assert "slice done, 2 clips extracted" in outcome.stdout
    counts = json.loads(here("pipeline", "finalize", out, "--json").stdout)
    assert (counts["clips"], counts["ok"], counts["people"], counts["extracted"]) == (4, 3, 5, 4)
    assert contents(out) == contents(cache)
    assert f"{out} is valid: 4 clips, 2 shards" in here("pipeline", "verify", out).stdout
    again = here(*command)
    assert "nothing to do" in again.stdout and "3 of 4 clips usable" in again.stdout
    outcome = here("pipeline", "extract", source, "--out", out, "--frames", 4, "--shard-clips", 2)
    assert "was made with --people all, this command asks for --people 1" in outcome.stderr


def test_the_report_counts_clips_and_shows_further_people(here, cache, tmp_path):
    outcome = here("pipeline", "report", cache, "--out", tmp_path / "report.html")
    assert outcome.returncode == 0, outcome.stderr
    page = (tmp_path / "report.html").read_text()
    assert "<dt>clips</dt><dd>4</dd>" in page and "<dt>people</dt><dd>5</dd>" in page
    assert "Further people" in page and "sad/pair.mp4#2" in page


def test_the_faces_of_all_people_are_reused_by_content(here, job, source, cache, model_paths, tmp_path):
    assert here("pipeline", "share", cache, tmp_path / "shared").returncode == 0
    clip = source / "sad" / "pair.mp4"
    smaller = dataclasses.replace(CONFIG, size=64)
    fresh, reused = (
        extract_clip(clip, smaller, model_paths, reuse)
        for reuse in (None, Reuse(folders=(tmp_path / "shared",)))
    )
    assert reused.reused and len(reused.others) == 1
    for a, b in zip((fresh, *fresh.others), (reused, *reused.others), strict=True):
        assert a.track.crops == b.track.crops and a.facts == b.facts
    outcome = here("pipeline", "extract", source, "--out", tmp_path / "one", "--frames", 4, "--reuse", cache)
    assert outcome.returncode == 1 and "its landmarks were made with other settings" in outcome.stderr


@pytest.mark.parametrize("step", ["2:before", "12:after", "21:after", "30:before"])
def test_a_kill_loses_no_committed_shard(step, job, cache, killed_build, tmp_path):
    target = tmp_path / "killed"
    assert killed_build(job)(step, target) == -signal.SIGKILL
    build(target, **job)
    assert contents(target) == contents(cache)


def reseal(cache, **columns):
    """Change the clips table, and make the checksums right again, as somebody who forges a cache would."""
    table = pl.read_parquet(cache / layout.CLIPS_FILE).with_columns(**columns)
    table.write_parquet(cache / layout.CLIPS_FILE)
    seal.write_seal(cache, 2)


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"person": pl.Series([1, 3, 1, 1, 2, 1], dtype=pl.Int32)}, "not the next person"),
        ({"clip_id": pl.Series([name.replace("pair.mp4#2", "x#2") for name in IDS])}, "not the next person"),
        ({"fingerprint": pl.Series(["0" * 64, "1" * 64] * 3)}, "not the next person"),
        ({"label": pl.Series(["happy", "sad", "sad", "sad", None, "sad"])}, "has a label"),
    ],
)
def test_rows_of_further_people_that_contradict_themselves_are_found(cache, tmp_path, columns, problem):
    copy = shutil.copytree(cache, tmp_path / "copy")
    reseal(copy, **columns)
    assert problem in " ".join(fault.problem for fault in verify(copy))


def test_an_id_that_a_further_person_may_get_is_refused(here, astronaut, tmp_path):
    for name in ("a", "a#2"):
        (tmp_path / "clips" / "happy" / name).mkdir(parents=True)
        Image.fromarray(astronaut).save(tmp_path / "clips" / "happy" / name / "1.png")
    outcome = here("pipeline", "extract", tmp_path / "clips", "--out", tmp_path / "cache", *OPTIONS)
    line = outcome.stderr.splitlines()[-1]
    assert outcome.returncode == 1
    assert "clip happy/a#2: a further person in clip happy/a may get this id" in line
    assert not (tmp_path / "cache").exists()


def test_the_number_of_people_is_a_number_or_all(here, source, tmp_path):
    assert ExtractConfig(people="all").as_dict()["people"] == "all"
    assert {"people", "person"}.isdisjoint(ExtractConfig().as_dict())
    assert ExtractConfig(people=2, person="center").landmark_settings()["people"] == 2
    with pytest.raises(UserError, match="--people 0"):
        ExtractConfig(people=0)
    outcome = here("pipeline", "extract", source, "--out", tmp_path / "cache", "--people", "some")
    assert outcome.returncode == 2 and "'some' is not a number or all" in outcome.stderr
