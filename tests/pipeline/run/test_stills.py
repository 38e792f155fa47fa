"""Extractions of stills, from their manifest: how datasets of stills are read is tested with `data_manifest`."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import polars as pl
import pytest
from folder_bytes import contents
from PIL import Image

from dfer.data_manifest.datasets import Manifest
from dfer.pipeline.cache.plan import default_shard_clips
from dfer.pipeline.cache.share import share
from dfer.pipeline.cache.verify import verify
from dfer.pipeline.config import ExtractConfig, RunOptions
from dfer.pipeline.report.report import report_page
from dfer.pipeline.run.extract import Outcome, extract
from dfer.pipeline.run.terminal import print_outcome
from dfer.schemas.manifest import IMAGE, MANIFEST_SCHEMA, MISSING, VIDEO

CONFIG = ExtractConfig(size=64, shard_clips=20)


def manifest_of(folder, paths):
    rows = {"clip_id": paths, "path": paths, "kind": IMAGE, "label": ["ab"[i % 2] for i in range(len(paths))]}
    table = pl.DataFrame(rows)
    empty = [pl.lit(None).alias(name) for name in MANIFEST_SCHEMA if name not in rows]
    clips = table.with_columns(empty).select(pl.col(n).cast(kind) for n, kind in MANIFEST_SCHEMA.items())
    return Manifest(dataset="stills", labels=("a", "b"), clips=clips, root=folder)


@pytest.fixture(scope="module")
def stills(astronaut, tmp_path_factory):
    """45 stills: 40 image files of the astronaut, of two sizes; three rows of a CSV; a broken file; no face."""
    folder = tmp_path_factory.mktemp("stills")
    pictures = []
    for number in range(40):
        x, y = 128 + number // 2, 20 + number // 4
        side = 48 if number % 2 else 192
        picture = Image.fromarray(astronaut[y : y + 192, x : x + 192])
        pictures.append(picture.resize((side, side), Image.Resampling.BICUBIC))
        pictures[-1].save(folder / f"{number:02}.png")
    rows = [" ".join(map(str, np.asarray(pictures[i].convert("L")).ravel())) for i in (1, 3)]
    (folder / "fer2013.csv").write_text(f"emotion,pixels,Usage\n0,{rows[0]},a\n0,{rows[1]},a\n0,1 2,a\n")
    (folder / "broken.png").write_bytes(b"\x89PNG")
    Image.fromarray(astronaut[300:400, 380:480]).save(folder / "suit.png")
    csv = [f"fer2013.csv/{row:06d}" for row in range(3)]
    images = sorted(path.name for path in folder.glob("*.png"))
    return manifest_of(folder, [*images, *csv])


@pytest.fixture(scope="module")
def cache(stills, tmp_path_factory):
    cache = tmp_path_factory.mktemp("extracted") / "cache"
    extract(stills, cache, CONFIG, RunOptions(workers=2))
    return cache


def test_stills_become_a_valid_cache_with_one_frame_each(cache, stills):
    clips = pl.read_parquet(cache / "clips.parquet")
    bad = clips.filter(pl.col("status") != "ok").select("clip_id", "status", "reason").rows()
    assert bad == [
        ("broken.png", "undecodable", "the image cannot be decoded"),
        ("suit.png", "no_face", "no face in any sampled frame"),
        ("fer2013.csv/000002", "undecodable", "its row has 2 pixels, which make no square"),
    ]
    usable = clips.filter(status="ok")
    assert usable["frames"].to_list() == usable["source_frames"].to_list() == [1] * 42
    assert usable["fps"].is_null().all() and usable["duration_s"].is_null().all()
    assert set(usable["width"]) == {48, 192} and usable["source_warning"].null_count() == 42
    assert list(verify(cache)) == []


def test_the_page_of_stills_says_nothing_of_several_frames(cache):
    text = report_page(cache, 4).decode()
    for wrong in (
        "1 frames",
        "% of 1 frame",
        "beginning, middle",
        "are medians",
        "rames with a face",
        "frames kept",
    ):
        assert wrong not in text
    assert "97.7 %" in text  # a face was found in 42 of 43 decoded stills
    assert "frame 1 of 1 of " in text


def test_the_terminal_shows_in_how_many_stills_a_face_was_found_and_how_to_train_on_them(cache, capsys):
    clips = pl.read_parquet(cache / "clips.parquet")
    print_outcome(Outcome(clips=clips, extracted=45, reused=None), cache, as_json=False)
    shown = capsys.readouterr().out
    assert "face found" in shown and "97.7 %" in shown and "with a face" not in shown
    assert f"then train run {cache} --preset pretrain --out RUN" in shown
    voted = clips.with_columns(votes=pl.lit([3.0, 1.0], pl.List(pl.Float64)))
    print_outcome(Outcome(clips=voted, extracted=0, reused=None), cache, as_json=False)
    assert f"then train run {cache} --preset pretrain --soft-labels --out RUN" in capsys.readouterr().out


def test_landmarks_of_stills_are_reused_from_shared_tables(cache, stills, tmp_path):
    share(cache, tmp_path / "shared")
    options = RunOptions(workers=1, reuse=(tmp_path / "shared",))
    outcome = extract(stills, tmp_path / "again", CONFIG, options)
    assert outcome.reused == 43  # 42 with a face, and one without
    for part in ("faces", "landmarks"):
        assert contents(tmp_path / "again" / part) == contents(cache / part)


def test_a_finished_cache_of_stills_is_left_alone_and_a_retry_reads_the_broken_ones_again(cache, stills):
    before = contents(cache)
    assert extract(stills, cache, CONFIG, RunOptions()).extracted == 0
    assert extract(stills, cache, CONFIG, RunOptions(workers=1, retry=True)).extracted == 5
    assert contents(cache) == before


KILLED = """
import sys, pickle
from pathlib import Path
from dfer.pipeline.run.extract import extract
if __name__ == "__main__":
    manifest, cache, config, options = pickle.loads(Path(sys.argv[1]).read_bytes())
    extract(manifest, cache, config, options)
"""


def test_a_killed_extraction_of_stills_goes_on_with_the_same_bytes(cache, stills, tmp_path):
    import pickle

    job = (stills, tmp_path / "cache", CONFIG, RunOptions(workers=1))
    (tmp_path / "job").write_bytes(pickle.dumps(job))
    (tmp_path / "run.py").write_text(KILLED)
    process = subprocess.Popen(
        [sys.executable, tmp_path / "run.py", tmp_path / "job"], start_new_session=True
    )
    while not (tmp_path / "cache" / "commits" / "00000.json").exists():
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    outcome = extract(*job)
    assert 0 < outcome.extracted <= 25
    assert contents(tmp_path / "cache") == contents(cache)


def test_a_still_that_needs_too_much_memory_harms_no_other_of_its_batch(stills, tmp_path):
    Image.new("L", (9000, 9000)).save(tmp_path / "huge.png", compress_level=1)
    for name in ("00.png", "02.png"):
        (tmp_path / name).write_bytes((stills.root / name).read_bytes())
    options = RunOptions(workers=1, worker_memory=0.5)
    outcome = extract(
        manifest_of(tmp_path, ["00.png", "huge.png", "02.png"]), tmp_path / "c", CONFIG, options
    )
    assert outcome.clips["status"].to_list() == ["ok", "quarantined", "ok"]
    assert "0.5 GB of memory" in outcome.clips["reason"][1]


def test_shards_of_stills_are_larger_unless_a_video_is_among_them():
    def shard_clips(*kinds):
        return default_shard_clips(pl.DataFrame({"kind": kinds}))

    assert shard_clips(IMAGE, IMAGE) == shard_clips(MISSING, IMAGE) == 4096
    assert shard_clips(IMAGE, VIDEO) == shard_clips(MISSING) == shard_clips(VIDEO) == 256


def test_the_number_of_clips_in_a_shard_is_recorded(cache):
    assert json.loads((cache / "cache.json").read_text())["settings"]["shard_clips"] == 20
