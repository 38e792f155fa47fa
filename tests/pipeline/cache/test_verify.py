import contextlib
import json
import os
import random
import shutil

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
import simplejpeg

from dfer.pipeline.cache import seal
from dfer.pipeline.cache.verify import verify
from dfer.schemas import cache as layout
from dfer.schemas.read_cache import CacheFormatError
from dfer.schemas.support.files import file_sha256


@pytest.fixture(scope="module")
def good_cache(here, sample_clips, tmp_path_factory):
    """The six clips in three shards, a few frames each."""
    folder = tmp_path_factory.mktemp("verify") / "cache [1]"
    outcome = here("pipeline", "extract", sample_clips, "--out", folder, "--frames", 4, "--shard-clips", 2)
    assert outcome.returncode == 0, outcome.stderr
    return folder


@pytest.fixture
def cache(good_cache, tmp_path):
    return shutil.copytree(good_cache, tmp_path / "cache")


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def found(cache):
    """File → problem."""
    faults = list(verify(cache))
    assert all("\n" not in fault.problem for fault in faults)
    assert len({fault.file for fault in faults}) == len(faults)
    return {fault.file: fault.problem for fault in faults}


def reseal(cache):
    """Make every checksum right again, as somebody who forges a cache would."""
    shards = len(list((cache / "commits").iterdir()))
    for index in range(shards):
        path = cache / layout.COMMIT_FILE.format(index)
        commit = json.loads(path.read_text())
        for name in commit["files"]:
            commit["files"][name] = {
                "bytes": (cache / name).stat().st_size,
                "sha256": file_sha256(cache / name),
            }
        path.write_text(json.dumps(commit))
    seal.write_seal(cache, shards)


def flip(path, generator):
    content = bytearray(path.read_bytes())
    offset = generator.randrange(len(content))
    content[offset] ^= 1 << generator.randrange(8)
    path.write_bytes(content)
    return offset


def test_a_good_cache_is_valid_and_counted(here, good_cache):
    outcome = here("pipeline", "verify", good_cache)
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert outcome.stdout == f"{good_cache} is valid: 6 clips, 3 shards, 16 files\n"
    assert len(files(good_cache)) == 16
    answer = json.loads(here("pipeline", "verify", good_cache, "--json").stdout)
    assert answer["valid"] and answer["counts"] == {"clips": 6, "shards": 3, "files": 16}


def test_a_flipped_bit_in_any_file_is_found(cache):
    generator = random.Random(4)
    for name in files(cache) * 4:
        original = (cache / name).read_bytes()
        offset = flip(cache / name, generator)
        assert list(found(cache)) == [name], (name, offset)
        (cache / name).write_bytes(original)
    assert found(cache) == {}


def test_the_command_prints_a_line_per_damaged_file_and_exits_with_1(here, cache):
    generator = random.Random(5)
    damaged = [
        "cache.json",
        "manifest.parquet",
        "clips.parquet",
        "commits/00002.json",
        "faces/00001.arrow",
        "seal.json",
    ]
    for name in damaged[2:5]:
        flip(cache / name, generator)
    outcome = here("pipeline", "verify", cache)
    assert outcome.returncode == 1 and outcome.stderr == ""
    assert [line.split(": ")[0] for line in outcome.stdout.splitlines()] == [
        "clips.parquet",
        "commits/00002.json",
        "faces/00001.arrow",
    ]
    answer = json.loads(here("pipeline", "verify", cache, "--json").stdout)
    assert not answer["valid"] and len(answer["faults"]) == 3


def test_missing_cut_off_and_swapped_files_are_found(cache):
    for name in files(cache):
        if name == "cache.json":
            continue
        original = (cache / name).read_bytes()
        (cache / name).write_bytes(original[: len(original) // 2])
        assert list(found(cache)) == [name]
        (cache / name).unlink()
        assert name in found(cache) and "missing" in found(cache)[name]
        (cache / name).mkdir()
        assert name in found(cache)
        (cache / name).rmdir()
        (cache / name).write_bytes(original)
    first, second = cache / "faces" / "00000.arrow", cache / "faces" / "00001.arrow"
    first.rename(cache / "swap")
    second.rename(first)
    (cache / "swap").rename(second)
    assert list(found(cache)) == ["faces/00000.arrow", "faces/00001.arrow"]


def test_files_that_do_not_belong_to_a_cache_are_listed_and_escaped(here, cache):
    (cache / "faces" / "00007.arrow").write_bytes(b"")
    (cache / "faces" / ".00000.arrow.tmp").write_bytes(b"")
    (cache / "notes").mkdir()
    (cache / "notes" / "a\x1b[2J\nb.txt").write_text("")
    outcome = here("pipeline", "verify", cache)
    assert outcome.returncode == 1
    assert outcome.stdout.splitlines() == [
        "faces/.00000.arrow.tmp: not part of the cache",
        "faces/00007.arrow: not part of the cache",
        r"notes/a\x1b[2J\nb.txt: not part of the cache",
    ]


def test_a_pipe_or_link_in_place_of_a_file_is_not_read(cache):
    (cache / "clips.parquet").rename(cache.parent / "elsewhere")
    (cache / "clips.parquet").symlink_to(cache.parent / "elsewhere")
    (cache / "faces" / "00000.arrow").unlink()
    os.mkfifo(cache / "faces" / "00000.arrow")
    wrong = found(cache)
    assert set(wrong.values()) == {"not a regular file"}
    assert set(wrong) == {"clips.parquet", "faces/00000.arrow"}


def test_an_unfinished_cache_is_reported_and_its_shards_are_checked(cache):
    for name in ("seal.json", "clips.parquet", "commits/00001.json"):
        (cache / name).unlink()
    (cache / "landmarks" / ".00001.parquet.tmp").write_bytes(b"half")
    ((file, wrong),) = found(cache).items()
    assert file == "seal.json" and "unfinished" in wrong
    flip(cache / "faces" / "00002.arrow", random.Random(0))
    assert list(found(cache)) == ["seal.json", "faces/00002.arrow"]


def test_a_folder_that_cannot_be_verified_is_one_line_and_exit_1(here, tmp_path, cache):
    (cache / "cache.json").write_text(json.dumps({"format_version": 1}))
    (cache / "seal.json").unlink()
    for folder, message in (
        (tmp_path / "missing", "no such cache: "),
        (tmp_path, "is not a landmark cache"),
        (cache, "cache format 1, this program reads 2; extract again"),
    ):
        outcome = here("pipeline", "verify", folder)
        assert outcome.returncode == 1 and outcome.stdout == ""
        (line,) = outcome.stderr.splitlines()
        assert message in line


def rewrite_table(name, **columns):
    def change(cache):
        table = pl.read_parquet(cache / name)
        table.with_columns(**columns).cast(table.schema).write_parquet(cache / name)

    return change


def rewrite_faces(**changes):
    def change(cache):
        path = cache / "faces" / "00000.arrow"
        with pa.ipc.open_file(path) as reader:
            rows = [reader.get_batch(i).to_pylist()[0] for i in range(reader.num_record_batches)]
        with pa.ipc.new_file(str(path), layout.faces_schema()) as writer:
            for row in rows:
                new = {**row, **{name: edit(row[name]) for name, edit in changes.items()}}
                writer.write_batch(pa.RecordBatch.from_pylist([new], schema=layout.faces_schema()))

    return change


def rewrite_json(name, **fields):
    def change(cache):
        content = json.loads((cache / name).read_text())
        (cache / name).write_text(json.dumps({**content, **fields}))

    return change


SMALL = simplejpeg.encode_jpeg(np.zeros((64, 64, 3), np.uint8))
COL = pl.col
LAST_FIRST = pl.int_range(pl.len()).reverse()
CLIPS, RESULTS, LANDMARKS = "clips.parquet", "clips/00000.parquet", "landmarks/00000.parquet"
FACES, COMMIT = "faces/00000.arrow", "commits/00000.json"
WRONG = {
    "status": (rewrite_table(RESULTS, status=pl.lit("fine")), RESULTS, "unknown status"),
    "reason": (rewrite_table(RESULTS, reason=pl.lit("blurred")), RESULTS, "status and reason"),
    "shard": (rewrite_table(RESULTS, shard=pl.lit(3)), RESULTS, "its shard is not 0"),
    "row": (rewrite_table(RESULTS, row=COL("row") + 1), RESULTS, "row numbers"),
    "frames": (rewrite_table(RESULTS, frames=pl.lit(5)), RESULTS, "invalid number of frames"),
    "faces": (
        rewrite_table(RESULTS, frames_with_face=pl.lit(5)),
        RESULTS,
        "invalid number of frames with a face",
    ),
    "fewer faces": (rewrite_table(RESULTS, frames_with_face=pl.lit(3)), LANDMARKS, "frames with a face"),
    "fps": (rewrite_table(RESULTS, fps=pl.lit(float("inf"))), RESULTS, "fps is NaN or Inf"),
    "fingerprint": (rewrite_table(RESULTS, fingerprint=pl.lit("x")), RESULTS, "not a sha256"),
    "twice": (rewrite_table(RESULTS, clip_id=COL("clip_id").first()), RESULTS, "listed twice or has no id"),
    "no column": (rewrite_table(LANDMARKS, box=pl.lit(None)), LANDMARKS, "box is missing"),
    "frame": (rewrite_table(LANDMARKS, frame=COL("frame") + 1), LANDMARKS, "not the frames"),
    "clip": (rewrite_table(LANDMARKS, clip_id=pl.lit("x")), LANDMARKS, "not the frames"),
    "source": (rewrite_table(LANDMARKS, source_frame=pl.lit(-1)), LANDMARKS, "source_frame"),
    "score": (rewrite_table(LANDMARKS, score=pl.lit(None)), LANDMARKS, "detector and score"),
    "points": (
        rewrite_table(LANDMARKS, keypoints=COL("keypoints").gather(LAST_FIRST)),
        LANDMARKS,
        "key-points",
    ),
    "transform": (
        rewrite_table(LANDMARKS, transform=COL("transform").gather(LAST_FIRST)),
        FACES,
        "px from where",
    ),
    "crops": (rewrite_faces(crops=lambda v: v[1:]), FACES, "is not clip"),
    "junk": (rewrite_faces(crops=lambda v: [b"junk"] * len(v)), FACES, "clip '1001_DFA_ANG_XX'"),
    "cut JPEG": (rewrite_faces(crops=lambda v: [c[:900] for c in v]), FACES, "clip '1001_DFA_ANG_XX'"),
    "size": (rewrite_faces(crops=lambda v: [SMALL] * len(v)), FACES, "64×64 pixels, not 128×128"),
    "a point less": (
        rewrite_faces(keypoints=lambda v: v[2:]),
        FACES,
        "key-points and detections differ",
    ),
    "a landmark less": (
        rewrite_faces(landmarks=lambda v: v[2:]),
        FACES,
        "landmarks and detections differ",
    ),
    "no landmark": (rewrite_faces(landmarks=lambda v: [float("inf"), *v[1:]]), FACES, "landmark is NaN or"),
    "moved landmark": (
        rewrite_faces(landmarks=lambda v: [v[0] + 0.02, *v[1:]]),
        FACES,
        "a landmark is 0.02 px from where",
    ),
    "not a number": (rewrite_faces(keypoints=lambda v: [float("nan"), *v[1:]]), FACES, "is NaN or Inf"),
    "moved": (rewrite_faces(keypoints=lambda v: [v[0] + 0.02, *v[1:]]), FACES, "0.02 px from where"),
    "detected": (rewrite_faces(detected=lambda v: [not d for d in v]), FACES, "detections"),
    "other clip": (rewrite_faces(clip_id=lambda v: v + "x"), FACES, "is not clip"),
    "label": (rewrite_table(CLIPS, label=pl.lit("x")), CLIPS, "label is not in cache.json"),
    "votes": (rewrite_table(CLIPS, votes=pl.lit([1.0])), CLIPS, "its votes do not fit the labels"),
    "path": (rewrite_table(CLIPS, path=pl.lit("../x")), CLIPS, "leads out of the dataset's folder"),
    "other path": (
        rewrite_table(CLIPS, path=pl.lit("x")),
        "manifest.parquet",
        "does not match clips.parquet",
    ),
    "joined": (rewrite_table(CLIPS, width=pl.lit(1)), CLIPS, "does not match the clip table of shard 0"),
    "order": (rewrite_table(CLIPS, shard=COL("shard").reverse()), CLIPS, "shard order"),
    "rows": (
        rewrite_json(COMMIT, rows={"clips": 1, "faces": 2, "landmarks": 8}),
        RESULTS,
        "but 1 and 2 in",
    ),
    "landmarks": (
        rewrite_json(COMMIT, rows={"clips": 2, "faces": 2, "landmarks": 9}),
        LANDMARKS,
        "but 9 in its",
    ),
    "settings": (rewrite_json(COMMIT, settings_hash="x"), COMMIT, "other settings"),
    "counts": (rewrite_json(COMMIT, rows=[]), COMMIT, "three row counts"),
    "labels": (rewrite_json("cache.json", labels=["ANG", "ANG"]), "cache.json", "a label is listed twice"),
    "setting": (rewrite_json("cache.json", settings={"size": "big"}), "cache.json", "invalid crop size"),
    "no settings": (rewrite_json("cache.json", settings={"size": 128}), "cache.json", "settings frames, "),
    "key-points": (rewrite_json("cache.json", keypoint_set="x"), "cache.json", "unknown key-point set 'x'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_content_is_found_even_if_every_checksum_is_right(cache, name):
    change, file, message = WRONG[name]
    change(cache)
    reseal(cache)
    wrong = found(cache)
    assert message in wrong.get(file, "nothing"), wrong


def test_random_damage_under_right_checksums_never_raises(good_cache, tmp_path):
    generator = random.Random(6)
    for attempt in range(30):
        cache = shutil.copytree(good_cache, tmp_path / str(attempt))
        names = [n for n in files(cache) if "seal" not in n and "commits" not in n]
        for _ in range(3):
            flip(cache / generator.choice(names), generator)
        reseal(cache)
        with contextlib.suppress(CacheFormatError):  # a flip in the version number
            found(cache)
