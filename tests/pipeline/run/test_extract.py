import json
import os
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from folder_bytes import contents
from html_page import Page
from terminal import shown_in_terminal

from dfer.data_manifest.datasets import read_manifest
from dfer.pipeline.cache.verify import verify
from dfer.pipeline.config import ExtractConfig, RunOptions
from dfer.pipeline.report.report import report_page
from dfer.pipeline.run.extract import extract
from dfer.pipeline.run.terminal import clip_progress
from dfer.schemas import cache as layout
from dfer.schemas.face_shards import ShardReader
from dfer.schemas.keypoints import KEYPOINT_SETS, KeypointSet
from dfer.schemas.read_cache import read_clips
from dfer.schemas.support.errors import UserError


def test_the_six_clips_are_ok_with_32_frames_and_a_face_in_each(sample_cache):
    clips = read_clips(sample_cache)
    assert clips.schema == layout.CLIPS_SCHEMA
    assert clips["label"].to_list() == ["anger", "disgust", "fear", "happiness", "neutral", "sadness"]
    assert clips["status"].to_list() == ["ok"] * 6
    assert clips["frames"].to_list() == clips["frames_with_face"].to_list() == [32] * 6
    assert clips["subject"].unique().to_list() == ["1001"]
    assert clips["row"].to_list() == list(range(6))


def test_landmark_tables_and_face_shards_have_the_columns_of_the_contract(sample_cache):
    table = pl.read_parquet(sample_cache / "landmarks" / "00000.parquet")
    assert table.schema == layout.landmarks_schema(18)
    assert len(table) == 6 * 32
    with pa.memory_map(str(sample_cache / "faces" / "00000.arrow")) as file:
        reader = pa.ipc.open_file(file)
        assert reader.schema == layout.faces_schema()
        assert reader.num_record_batches == 6
        batch = reader.get_batch(3)
        of_clip = table.filter(pl.col("clip_id") == batch.column("clip_id")[0].as_py())
        points = {
            name: np.array(batch.column(name)[0].as_py()).reshape(32, count, 2)
            for name, count in (("landmarks", 68), ("keypoints", 18))
        }
    transform = of_clip["transform"].to_numpy()
    for name, in_crop in points.items():
        moved = np.einsum("tij,tkj->tki", transform[..., :2], of_clip[name].to_numpy())
        moved += transform[:, None, :, 2]
        assert np.abs(moved - in_crop).max() < 0.01
    keypoints = points["keypoints"]
    assert ((keypoints >= 0) & (keypoints <= 127)).all(-1).mean() >= 0.99


def test_no_file_of_the_cache_names_the_machine_or_a_path(sample_cache, sample_clips):
    for path, content in contents(sample_cache).items():
        for name in (str(sample_clips), str(sample_cache), str(Path.home())):
            assert name.encode() not in content, (path, name)
    assert os.uname().nodename not in (sample_cache / "cache.json").read_text()


def test_a_rerun_changes_nothing(here, sample_clips, sample_cache):
    before = {p: p.stat().st_mtime_ns for p in sample_cache.rglob("*")}
    outcome = here("pipeline", "extract", sample_clips, "--out", sample_cache)
    assert outcome.returncode == 0
    done, following = outcome.stdout.splitlines()
    assert done == f"nothing to do: {sample_cache}, 6 of 6 clips usable"
    assert following.endswith(f"then train run {sample_cache} --out RUN")
    assert {p: p.stat().st_mtime_ns for p in sample_cache.rglob("*")} == before


def test_one_worker_writes_the_same_bytes_as_two(here, sample_clips, sample_cache, tmp_path):
    outcome = here("pipeline", "extract", sample_clips, "--out", tmp_path / "cache", "--workers", 1, "--json")
    assert outcome.returncode == 0, outcome.stderr
    counts = json.loads(outcome.stdout)
    assert (counts["extracted"], counts["ok"], counts["frames_with_face"]) == (6, 6, 192)
    assert contents(tmp_path / "cache") == contents(sample_cache)


@pytest.fixture(scope="module")
def mixed_tree(tmp_path_factory, sample_clips, audio_only, moving_astronaut):
    """A folder per label with good clips, a frame folder and three bad files."""
    from PIL import Image

    root = tmp_path_factory.mktemp("mixed")
    for label in ("happy", "sad [2]"):
        (root / label).mkdir()
    shutil.copy(sample_clips / "1001_DFA_HAP_XX.flv", root / "happy" / "good ünïcode.flv")
    folder = root / "sad [2]" / "frames"
    folder.mkdir()
    for number, frame in enumerate(moving_astronaut(5)):
        Image.fromarray(frame).save(folder / f"{number:05}.jpg")
    (root / "sad [2]" / "text.mp4").write_text("this is not a video\n" * 20)
    (root / "sad [2]" / "empty.mp4").write_bytes(b"")
    shutil.copy(audio_only, root / "happy" / "audio.mp4")
    return root


MIXED_OPTIONS = ("--frames", 2, "--workers", 1)


@pytest.fixture(scope="module")
def mixed(here, mixed_tree, tmp_path_factory):
    """The mixed tree's cache, and the outcome of its extraction with --strict."""
    cache = tmp_path_factory.mktemp("mixed") / "cache"
    outcome = here("pipeline", "extract", mixed_tree, "--out", cache, *MIXED_OPTIONS, "--strict")
    return cache, outcome


def test_unusable_clips_are_rows_with_a_reason_and_lines_of_the_summary(mixed):
    cache, outcome = mixed
    clips = read_clips(cache)
    found = {
        path: (status, reason) for path, status, reason in clips.select("path", "status", "reason").rows()
    }
    assert found == {
        "happy/audio.mp4": ("undecodable", "no video stream in the file (audio only?)"),
        "happy/good ünïcode.flv": ("ok", None),
        "sad [2]/empty.mp4": ("undecodable", "the file is empty (0 bytes)"),
        "sad [2]/frames": ("ok", None),
        "sad [2]/text.mp4": ("undecodable", "not a readable video file"),
    }
    lines = outcome.stdout.splitlines()
    for path, (status, reason) in found.items():
        assert (f"{path}: {status}: {reason}" in lines) == (status != "ok")
    assert "2 of 5 clips usable" in lines[-3] and "--retry" in lines[-2] and lines[-1].startswith("next: ")


def test_strict_exits_with_3_if_a_clip_is_unusable(here, mixed, sample_clips, sample_cache):
    assert mixed[1].returncode == 3
    assert here("pipeline", "extract", sample_clips, "--out", sample_cache, "--strict").returncode == 0


def test_strict_says_why_it_fails_even_if_nothing_is_left_to_do(here, mixed, mixed_tree):
    reason = "pipeline: --strict: 3 of 5 clips unusable: happy/audio.mp4: undecodable: no video stream in the file "
    assert mixed[1].stderr.endswith(f"{reason}(audio only?) (and 2 more)\n")
    again = here("pipeline", "extract", mixed_tree, "--out", mixed[0], *MIXED_OPTIONS, "--strict")
    assert again.returncode == 3 and again.stdout.startswith("nothing to do: ")
    assert again.stderr.endswith(f"{reason}(audio only?) (and 2 more)\n")


def test_a_progress_bar_is_only_shown_for_clips_to_extract(monkeypatch):
    def shown(clips):
        def extract():
            with clip_progress() as (on_start, on_done):
                on_start(clips)
                for number in range(clips):
                    on_done(1, number)

        return shown_in_terminal(monkeypatch, extract)

    assert "clips" not in shown(0) and "extracting" not in shown(0)
    assert "2/2" in shown(2) and "clips, 1 unusable" in shown(2)


def test_a_changed_clip_list_is_extracted_again(here, mixed_tree, mixed, tmp_path):
    source = shutil.copytree(mixed_tree, tmp_path / "source")
    cache = shutil.copytree(mixed[0], tmp_path / "cache")
    (source / "sad [2]" / "text.mp4").unlink()
    again = here("pipeline", "extract", source, "--out", cache, *MIXED_OPTIONS, "--json")
    assert json.loads(again.stdout)["extracted"] == json.loads(again.stdout)["clips"] == 4
    fresh = here("pipeline", "extract", source, "--out", tmp_path / "fresh", *MIXED_OPTIONS)
    assert fresh.returncode == 0 and contents(tmp_path / "fresh") == contents(cache)


def test_a_replaced_file_is_extracted_again(here, sample_clips, tmp_path):
    source = tmp_path / "source" / "label"
    source.mkdir(parents=True)
    (source / "a.flv").write_bytes(b"")
    shutil.copy(sample_clips / "1001_DFA_ANG_XX.flv", source / "b.flv")
    arguments = ("pipeline", "extract", source.parent, "--out", tmp_path / "cache", *MIXED_OPTIONS)
    here(*arguments)
    assert read_clips(tmp_path / "cache")["status"].to_list() == ["undecodable", "ok"]
    shutil.copy(sample_clips / "1001_DFA_HAP_XX.flv", source / "a.flv")
    assert json.loads(here(*arguments, "--json").stdout)["extracted"] == 2
    assert read_clips(tmp_path / "cache")["status"].to_list() == ["ok", "ok"]


def test_a_cache_of_other_clips_is_not_overwritten(here, mixed_tree, sample_clips, sample_cache):
    before = contents(sample_cache)
    outcome = here("pipeline", "extract", mixed_tree, "--out", sample_cache)
    message = "was made from other clips: it starts with 1001_DFA_ANG_XX, the current dataset with "
    assert outcome.returncode == 1 and message in outcome.stderr
    assert contents(sample_cache) == before


def test_a_shard_without_its_commit_is_extracted_again(here, mixed_tree, mixed, tmp_path):
    cache = shutil.copytree(mixed[0], tmp_path / "cache")
    (cache / "commits" / "00000.json").unlink()
    with (cache / "faces" / "00000.arrow").open("r+b") as file:
        file.truncate(1000)
    outcome = here("pipeline", "extract", mixed_tree, "--out", cache, *MIXED_OPTIONS, "--json")
    assert json.loads(outcome.stdout)["extracted"] == 5
    assert contents(cache) == contents(mixed[0])


def bad_calls(tmp_path, sample_clips, sample_cache):
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    newer = shutil.copytree(sample_cache, tmp_path / "newer")
    content = json.loads((newer / "cache.json").read_text())
    (newer / "cache.json").write_text(json.dumps({**content, "format_version": 99}))
    (tmp_path / "file").write_text("")
    older = shutil.copytree(sample_cache, tmp_path / "older")
    settings = {name: value for name, value in content["settings"].items() if name != "detector"}
    changed = {**content, "settings": settings, "settings_hash": "0" * 64}
    (older / "cache.json").write_text(json.dumps(changed))
    out = tmp_path / "out"
    return {
        "a missing folder": ([tmp_path / "missing", "--out", out], "no such file or folder"),
        "an empty folder": ([tmp_path / "empty", "--out", out], "no clips found"),
        "a text as source": ([sample_clips / "CREDIT.txt", "--out", out], "CREDIT.txt"),
        "an output below a file": (
            [sample_clips, "--out", tmp_path / "file" / "cache"],
            "cannot write the cache",
        ),
        "an output on a read-only system": ([sample_clips, "--out", "/proc/cache"], "cannot write the cache"),
        "an output that is something else": (
            [sample_clips, "--out", tmp_path / "other"],
            "not a landmark cache",
        ),
        "a newer format": ([sample_clips, "--out", newer], "cache format 99, this program reads 2"),
        "an earlier version": (
            [sample_clips, "--out", older],
            "made with an earlier version, which had no --detector",
        ),
        "other settings": (
            [sample_clips, "--out", sample_cache, "--size", 96],
            "--size 128, this command asks for --size 96",
        ),
        "a size of nothing": (
            [sample_clips, "--out", out, "--size", 0],
            "--size 0: must be between 16 and 1024",
        ),
        "models elsewhere": (
            [sample_clips, "--out", out, "--models", tmp_path / "missing"],
            "no such folder",
        ),
    }


def test_wrong_input_is_refused_in_one_line_with_exit_1(here, tmp_path, sample_clips, sample_cache):
    for name, (arguments, message) in bad_calls(tmp_path, sample_clips, sample_cache).items():
        outcome = here("pipeline", "extract", *arguments)
        assert outcome.returncode == 1, (name, outcome)
        (line,) = outcome.stderr.splitlines()
        assert line.startswith("pipeline: ") and message in line, (name, line)
        assert outcome.stdout == "", name
    assert not (tmp_path / "out").exists()


def test_debug_shows_the_traceback(cli, tmp_path):
    outcome = cli("pipeline", "extract", tmp_path / "missing", "--out", tmp_path / "out", "--debug")
    assert outcome.returncode == 1 and "Traceback" in outcome.stderr


def test_wrong_usage_exits_with_2(here):
    assert here("pipeline", "extract").returncode == 2
    assert here("pipeline", "nonsense").returncode == 2


TEN = KeypointSet(
    name="ten",
    sources=((17,), (36,), (39,), (26,), (45,), (42,), (48,), (54,), (51, 57), (30,)),
    labels=("brow", "eye", "eye", "brow", "eye", "eye", "mouth", "mouth", "lips", "nose"),
    regions={"left": (0, 1, 2), "right": (3, 4, 5), "mouth": (6, 7, 8)},
    flip=(3, 4, 5, 0, 1, 2, 7, 6, 8, 9),
    edges=((0, 1), (1, 2), (3, 4), (4, 5), (6, 8), (7, 8), (2, 9), (5, 9)),
)


def test_another_key_point_set_needs_only_another_argument(astronaut_video, monkeypatch, tmp_path):
    monkeypatch.setitem(KEYPOINT_SETS, TEN.name, TEN)
    (tmp_path / "clips").mkdir()
    shutil.copy(astronaut_video, tmp_path / "clips")
    manifest, cache = read_manifest(tmp_path / "clips"), tmp_path / "cache"
    config, options = ExtractConfig(frames=2), RunOptions(workers=1)
    assert extract(manifest, cache, config, options, keypoints=TEN).all_usable
    assert list(verify(cache)) == []
    (clip_id,) = read_clips(cache)["clip_id"]
    table = pl.read_parquet(cache / "landmarks" / "00000.parquet")
    expected = TEN.select(table["landmarks"].to_numpy())
    np.testing.assert_allclose(table["keypoints"].to_numpy(), expected, atol=1e-3)
    assert ShardReader(cache, TEN.count).read(0, 0, clip_id).keypoints.shape == (2, 10, 2)
    assert len(Page(report_page(cache, 1)).all("circle")) == 2 * 10
    with pytest.raises(UserError, match="was made with key-point set ten, not dlib18; choose another folder"):
        extract(manifest, cache, config, options)


def test_clips_without_labels_and_with_a_warning_are_named_at_the_end(here, sample_clips, tmp_path):
    content = (sample_clips / "1001_DFA_ANG_XX.flv").read_bytes()
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "cut.flv").write_bytes(content[: len(content) // 2])
    outcome = here("pipeline", "extract", tmp_path / "clips", "--out", tmp_path / "cache", *MIXED_OPTIONS)
    *_, warned, following = outcome.stdout.splitlines()
    assert warned == "1 clip with a warning; the report lists them"
    assert following.endswith("; to train, give every clip a label: a folder for each class, or a table")
