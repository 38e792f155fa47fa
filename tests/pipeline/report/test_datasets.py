"""Datasets on the command line: known ones, a manifest without extraction, listed clips that are not on disk."""

import json
import os
import shutil

import numpy as np
import polars as pl
import pytest
import trees

from dfer.data_manifest.datasets import READERS
from dfer.pipeline.cache.plan import plan_shards
from dfer.schemas.manifest import MANIFEST_SCHEMA, MISSING
from dfer.schemas.read_cache import read_clips


@pytest.fixture
def blank():
    """Frames without a face."""
    return [np.full((64, 64, 3), 90, np.uint8)] * 3


def test_every_known_dataset_is_described_in_80_columns(cli, here):
    shown = cli("pipeline", "datasets", COLUMNS="80")
    assert shown.returncode == 0 and max(map(len, shown.stdout.splitlines())) <= 80
    known = json.loads(here("pipeline", "datasets", "--json").stdout)
    assert [row["name"] for row in known] == [reader.name for reader in READERS]
    for row in known:
        assert row["title"] in shown.stdout and row["expects"] and row["protocol"]


def test_a_manifest_is_written_and_counted(here, tmp_path, blank):
    trees.build_dfew(tmp_path / "DFEW", [blank])
    shutil.rmtree(tmp_path / "DFEW/Clip/clip_224x224/00002")
    out = tmp_path / "manifest.parquet"
    shown = here("pipeline", "manifest", tmp_path / "DFEW", "--out", out)
    assert shown.returncode == 0, shown.stderr
    for text in (
        "14 clips of dfew",
        "fold 1: 11 train, 3 test",
        "the largest class is 1.2 times the smallest",
        "on disk: 13 frame folders; missing: 1",
        "problems:\n  listed but not on disk: 1 of 14 (Clip/clip_224x224/00002)",
    ):
        assert text in shown.stdout
    assert pl.read_parquet(out).schema == MANIFEST_SCHEMA
    counts = json.loads(here("pipeline", "manifest", tmp_path / "DFEW", "--out", out, "--json").stdout)
    assert counts["labels"] == {"happiness": 5, "neutral": 4, "sadness": 5} and counts["imbalance"] == 1.25
    assert counts["folds"]["5"] == {
        "train": {"clips": 12, "labels": {"happiness": 4, "neutral": 4, "sadness": 4}},
        "test": {"clips": 2, "labels": {"happiness": 1, "sadness": 1}},
    }
    assert counts["kinds"]["missing"] == 1 and counts["problems"][0]["kind"] == "missing"
    without = here("pipeline", "manifest", tmp_path / "DFEW", "--json")
    assert json.loads(without.stdout) == {k: v for k, v in counts.items() if k != "manifest"}


def test_classes_of_equal_size_are_not_1_0_times_the_smallest(here, tmp_path, blank):
    trees.build_table(tmp_path, [blank], clips=2)
    shown = here("pipeline", "manifest", tmp_path / "clips.csv").stdout
    assert "imbalance: none, all classes have about as many clips" in shown and "times" not in shown


def test_many_folds_do_not_widen_the_table(here, tmp_path):
    lines = ["path,label,fold", *(f"{k}.mp4,{'xy'[k % 2]},{k // 2}" for k in range(20))]
    trees.write_text(tmp_path / "t.csv", lines)
    trees.write_files(tmp_path, *(f"{k}.mp4" for k in range(20)))
    shown = here("pipeline", "manifest", tmp_path / "t.csv").stdout
    assert "fold 9: 18 train, 2 test" in shown and "labels of each fold: with --json" in shown
    assert "fold 9 test" not in shown and max(map(len, shown.splitlines())) <= 80
    counts = json.loads(here("pipeline", "manifest", tmp_path / "t.csv", "--json").stdout)
    assert counts["folds"]["9"]["train"] == {"clips": 18, "labels": {"x": 9, "y": 9}}


def test_a_table_has_the_name_that_the_user_gives(here, tmp_path, blank):
    trees.build_table(tmp_path / "data", [blank], clips=2)
    table = tmp_path / "data/clips.csv"
    assert here("pipeline", "manifest", table, "--name", "DFEW").stdout.lstrip().startswith("2 clips of DFEW")
    call = ("pipeline", "extract", table, "--out", tmp_path / "c", "--workers", 1, "--name", "DFEW")
    assert here(*call).returncode == 0
    assert json.loads((tmp_path / "c" / "cache.json").read_text())["dataset"] == "DFEW"
    wrong = here("pipeline", "manifest", table, "--name", " ")
    assert wrong.returncode == 2 and "must be non-empty printable text" in wrong.stderr


def test_a_manifest_replaces_neither_its_source_nor_a_pipe(here, tmp_path, blank):
    trees.build_dfew(tmp_path / "DFEW", [blank])
    table = tmp_path / "t.parquet"
    clips = [str(path) for path in sorted((tmp_path / "DFEW/Clip/clip_224x224").iterdir())]
    pl.DataFrame({"path": clips, "label": "happy"}).write_parquet(table)
    content = table.read_bytes()
    os.mkfifo(tmp_path / "pipe.parquet")
    (tmp_path / "link.parquet").symlink_to(table)
    for out, message in {
        "t.parquet": "is the source",
        "link.parquet": "is the source",
        "pipe.parquet": "is not a regular file",
        "m.csv": "the name must end in .parquet",
    }.items():
        outcome = here("pipeline", "manifest", table, "--out", tmp_path / out)
        (line,) = outcome.stderr.splitlines()
        assert outcome.returncode == 1 and message in line
    assert table.read_bytes() == content and (tmp_path / "pipe.parquet").is_fifo()


def test_control_characters_in_names_are_escaped(here, tmp_path):
    (tmp_path / "r" / "\x1b[31mred").mkdir(parents=True)
    (tmp_path / "r" / "\x1b[31mred" / "a.mp4").touch()
    (tmp_path / "r" / "happy\nsad").mkdir(parents=True)
    (tmp_path / "r" / "happy\nsad" / "[red]b.mp4").touch()
    for arguments in (["manifest", tmp_path / "r"], ["extract", tmp_path / "r", "--out", tmp_path / "c"]):
        shown = here("pipeline", *arguments).stdout
        assert "\x1b" not in shown and "\\x1b[31mred" in shown and "happy\\nsad" in shown
    assert "[red]b.mp4: undecodable" in shown


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--dataset", "dfw"], 2, "'dfw' is not one of auto, dfew"),
        (["--dataset", "mafw"], 1, "no single/no_caption/set_1/train.txt"),
        (["--out", "nowhere/m.parquet"], 1, "no such folder: nowhere"),
    ],
)
def test_a_source_that_cannot_be_read_is_refused_in_one_line(here, tmp_path, blank, arguments, code, message):
    trees.build_dfew(tmp_path / "DFEW", [blank])
    outcome = here("pipeline", "manifest", tmp_path / "DFEW", "--out", tmp_path / "m.parquet", *arguments)
    assert outcome.returncode == code and message in outcome.stderr
    assert "Traceback" not in outcome.stderr and not (tmp_path / "m.parquet").exists()


@pytest.mark.parametrize("command", ["manifest", "extract"])
def test_an_empty_source_is_not_the_current_folder(here, tmp_path, command):
    outcome = here("pipeline", command, "", "--out", tmp_path / "out")
    assert outcome.returncode == 2 and "it is empty; give a folder or a table" in outcome.stderr


def test_missing_and_empty_clips_have_a_reason_and_are_extracted_later(here, tmp_path, blank, model_paths):
    source, cache = tmp_path / "DFEW", tmp_path / "cache"
    trees.build_dfew(source, [blank], clips=6, folds=2)
    clips = source / "Clip/clip_224x224"
    (clips / "00002").rename(tmp_path / "00002")
    for image in (clips / "00003").iterdir():
        image.unlink()
    outcome = here("pipeline", "extract", source, "--out", cache, "--input", "face", "--workers", 1)
    assert outcome.returncode == 0, outcome.stderr
    assert "dfew: listed but not on disk: 1 of 6 (Clip/clip_224x224/00002)" in outcome.stderr
    rows = {row["clip_id"]: row for row in read_clips(cache).iter_rows(named=True)}
    assert len(rows) == 6
    assert (rows["00002"]["status"], rows["00002"]["reason"]) == (
        "undecodable",
        "listed but not on disk: Clip/clip_224x224/00002",
    )
    assert (rows["00003"]["status"], rows["00003"]["reason"]) == (
        "undecodable",
        "the folder contains no images",
    )
    assert "undecodable clip" not in outcome.stdout  # for the missing one, --retry cannot help
    assert here("pipeline", "verify", cache).returncode == 0
    (tmp_path / "00002").rename(clips / "00002")
    again = here("pipeline", "extract", source, "--out", cache, "--input", "face", "--workers", 1)
    assert again.returncode == 0, again.stderr
    assert read_clips(cache).filter(clip_id="00002")["status"].item() != "undecodable"
    assert here("pipeline", "verify", cache).returncode == 0
    assert "1 frame folder without images; once there are some: the same command with --retry" in again.stdout
    for image in (clips / "00002").iterdir():
        shutil.copy(image, clips / "00003")
    retried = here(
        "pipeline", "extract", source, "--out", cache, "--input", "face", "--workers", 1, "--retry"
    )
    assert retried.returncode == 0 and "undecodable" not in retried.stdout


def test_retry_is_not_advised_where_it_cannot_help(here, tmp_path, audio_only):
    clips = tmp_path / "clips"
    (clips / "happy").mkdir(parents=True)
    shutil.copy(audio_only, clips / "happy" / "sound.mp4")
    (clips / "happy" / "empty.mp4").touch()
    call = ("pipeline", "extract", clips, "--out", tmp_path / "cache", "--workers", 1)
    shown = here(*call).stdout
    assert "no video stream in the file" in shown and "the file is empty" in shown
    assert "--retry" not in shown and "next:" not in shown  # and there is nothing to train on
    (clips / "happy" / "broken.mp4").write_bytes(b"not a video")
    assert "1 undecodable clip; to try again: the same command with --retry" in here(*call).stdout


def test_a_changed_label_updates_only_the_tables(here, sample_clips, tmp_path):
    clips = sorted(sample_clips.glob("*.flv"))[:2]
    pl.DataFrame({"path": map(str, clips), "label": ["happy", "sad"]}).write_csv(tmp_path / "t.csv")
    call = ("pipeline", "extract", tmp_path / "t.csv", "--out", tmp_path / "c", "--frames", 1, "--workers", 1)
    assert here(*call).returncode == 0
    assert here(*call).stdout.startswith("nothing to do")
    pl.DataFrame({"path": map(str, clips), "label": ["happy", "fear"]}).write_csv(tmp_path / "t.csv")
    assert here(*call).stdout.startswith("tables updated, no clip extracted")
    assert read_clips(tmp_path / "c")["label"].to_list() == ["happy", "fear"]


def test_a_dataset_without_a_clip_on_disk_is_refused(here, tmp_path):
    trees.build_dfew(tmp_path / "DFEW", [])
    outcome = here("pipeline", "extract", tmp_path / "DFEW", "--out", tmp_path / "cache")
    assert outcome.returncode == 1 and "none of the 14 clips in its lists is on disk" in outcome.stderr
    assert "clip_224x224/00001: unpack the clips there, fix the start of the paths" in outcome.stderr
    assert not (tmp_path / "cache").exists()


def test_a_table_is_a_source(here, tmp_path, blank):
    trees.build_table(tmp_path / "data", [blank], clips=3)
    with (trees.write_files(tmp_path / "data", "x.pdf") / "clips.csv").open("a") as table:
        table.write("x.pdf,happy,train,s0\r\n")
    outcome = here(
        "pipeline", "extract", tmp_path / "data/clips.csv", "--out", tmp_path / "cache", "--workers", 1
    )
    assert outcome.returncode == 0, outcome.stderr
    clips = read_clips(tmp_path / "cache")
    assert clips["path"].to_list() == [*(f"videos/clip {k}.mp4" for k in range(3)), "x.pdf"]
    assert clips["reason"][3] == "unknown file type: x.pdf"


def test_a_frame_folder_that_appears_changes_its_shard():
    row = {"clip_id": ["a"], "path": ["a"], "bytes": pl.Series([None], dtype=pl.Int64)}
    (there,), (missing,) = (
        plan_shards(pl.DataFrame({**row, "kind": [kind]}), 256) for kind in ("frames", MISSING)
    )
    assert there.clip_list_hash != missing.clip_list_hash
