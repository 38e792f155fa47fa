"""Clips that belong to no dataset: one video, several, or a folder of them make a cache without labels."""

import json
import shutil

import polars as pl
import pytest


@pytest.fixture(scope="module")
def loose(here, astronaut_video, tmp_path_factory):
    """Two videos given by name, extracted. The folder of both the videos and the cache, and what was printed."""
    folder = tmp_path_factory.mktemp("loose")
    for name in ("a.mp4", "b é.mp4"):
        shutil.copy(astronaut_video, folder / name)
    given = (folder / "a.mp4", folder / "b é.mp4", folder / "a.mp4")
    outcome = here("pipeline", "extract", *given, "--out", folder / "cache", "--frames", 2, "--workers", 1)
    assert outcome.returncode == 0, outcome.stderr
    return folder, outcome


def test_videos_given_by_name_are_clips_without_labels(loose):
    folder, outcome = loose
    clips = pl.read_parquet(folder / "cache" / "clips.parquet")
    assert clips.select("clip_id", "path", "label", "status").rows() == [
        ("a.mp4", "a.mp4", None, "ok"),
        ("b é.mp4", "b é.mp4", None, "ok"),
    ]
    info = json.loads((folder / "cache" / "cache.json").read_text())
    assert (info["labels"], info["dataset"]) == ([], "clips")
    assert "to train, give every clip a label" in outcome.stdout


def test_the_other_commands_take_a_cache_without_labels(here, loose, tmp_path):
    folder, _ = loose
    cache, page = folder / "cache", tmp_path / "page.html"
    assert here("pipeline", "verify", cache).returncode == 0
    assert here("pipeline", "report", cache, "--out", page).returncode == 0
    assert "no label" in page.read_text()
    assert here("pipeline", "share", cache, tmp_path / "shared").returncode == 0
    outcome = here("pipeline", "manifest", folder / "a.mp4", folder / "b é.mp4", "--json")
    assert json.loads(outcome.stdout)["labels"] == {"(no label)": 2}


def test_giving_the_same_videos_again_does_nothing_and_others_are_refused(here, loose, astronaut_video):
    folder, _ = loose
    again = here("pipeline", "extract", folder / "*.mp4", "--out", folder / "cache", "--frames", 2)
    assert again.returncode == 0 and again.stdout.startswith("nothing to do")
    other = here("pipeline", "extract", astronaut_video, "--out", folder / "cache", "--frames", 2)
    assert other.returncode == 1 and "made from other clips" in other.stderr
