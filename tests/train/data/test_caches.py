import pickle
import resource
import shutil
import subprocess
import sys
from functools import partial

import made_up
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
import simplejpeg
import torch

from dfer.schemas.cache import faces_schema
from dfer.schemas.face_shards import ShardReader
from dfer.schemas.support.errors import UserError
from dfer.train.data.caches import open_pool
from dfer.train.data.dataset import Request, ViewSpec, clip_dataset
from dfer.train.data.loader import Loader


@pytest.fixture
def copied(sample_cache, tmp_path):
    return shutil.copytree(sample_cache, tmp_path / "cache")


def rewrite(cache, **changes):
    """Rewrite the first face shard with columns of every clip changed."""
    path = cache / "faces" / "00000.arrow"
    with pa.ipc.open_file(path) as reader:
        rows = [reader.get_batch(i).to_pylist()[0] for i in range(reader.num_record_batches)]
    with pa.ipc.new_file(str(path), faces_schema()) as writer:
        for row in rows:
            new = {**row, **{name: change(row[name]) for name, change in changes.items()}}
            writer.write_batch(pa.RecordBatch.from_pylist([new], schema=faces_schema()))


def test_a_clip_is_read_back_as_it_was_written(sample_cache):
    stored = ShardReader(sample_cache, 18).read(0, 2, "1001_DFA_FEA_XX")
    table = pl.read_parquet(sample_cache / "landmarks" / "00000.parquet")
    table = table.filter(pl.col("clip_id") == "1001_DFA_FEA_XX")
    transform = table["transform"].to_numpy()
    for name in ("landmarks", "keypoints"):
        expected = np.einsum("tij,tkj->tki", transform[..., :2], table[name].to_numpy())
        np.testing.assert_allclose(getattr(stored, name), expected + transform[:, None, :, 2], atol=0.01)
    assert stored.detected.tolist() == [True] * 32
    assert simplejpeg.decode_jpeg(stored.crops[31], colorspace="RGB").shape == (128, 128, 3)


def test_a_reader_works_in_another_process(sample_cache):
    reader = ShardReader(sample_cache, 18)
    first = reader.read(0, 0, "1001_DFA_ANG_XX")
    again = pickle.loads(pickle.dumps(reader)).read(0, 0, "1001_DFA_ANG_XX")
    assert [bytes(c) for c in again.crops] == [bytes(c) for c in first.crops]


def test_the_dataset_decodes_the_frames_of_the_view(sample_cache):
    cache = open_pool(sample_cache)
    dataset = clip_dataset(cache, cache.clips, cache.labels, ViewSpec(frames=50))
    (batch,) = Loader(dataset, 0, torch.device("cpu")).batches([[Request(4)]])
    frames, keypoints = batch.frames[0], batch.keypoints[0]
    stored = ShardReader(sample_cache, 18).read(0, 4, "1001_DFA_NEU_XX")
    positions = [int((k + 0.5) * 32 / 50) for k in range(50)]  # more frames than are kept: some repeat
    assert (batch.labels.item(), batch.clips.item(), frames.shape) == (4, 4, (50, 3, 128, 128))
    for k in (0, 1, 25, 49):
        expected = simplejpeg.decode_jpeg(stored.crops[positions[k]], colorspace="RGB")
        np.testing.assert_array_equal(frames[k].permute(1, 2, 0), expected)
    np.testing.assert_array_equal(keypoints, stored.keypoints[positions])


DAMAGES = {
    "another clip": ({"clip_id": lambda v: v + "x"}, "another clip is stored in its place"),
    "a crop less": ({"crops": lambda v: v[1:]}, "the numbers of crops and detections differ"),
    "no crops": (
        {
            "crops": lambda v: [],
            "landmarks": lambda v: [],
            "keypoints": lambda v: [],
            "detected": lambda v: [],
        },
        "the numbers of crops and detections differ",
    ),
    "a point less": ({"keypoints": lambda v: v[2:]}, "the numbers of crops and key-points differ"),
    "a landmark less": ({"landmarks": lambda v: v[2:]}, "the numbers of crops and landmarks differ"),
    "an infinite landmark": ({"landmarks": lambda v: [float("inf"), *v[1:]]}, "a landmark is NaN or Inf"),
    "not a number": ({"keypoints": lambda v: [float("nan"), *v[1:]]}, "is NaN or Inf"),
    "not a JPEG": ({"crops": lambda v: [b"junk"] * len(v)}, "a crop is not a JPEG"),
    "another size": (
        {"crops": lambda v: [simplejpeg.encode_jpeg(np.zeros((64, 64, 3), np.uint8))] * len(v)},
        "has 64×64 pixels instead of 128×128",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_tampered_shard_is_detected(copied, name):
    changes, message = DAMAGES[name]
    rewrite(copied, **changes)
    cache = open_pool(copied)
    with pytest.raises(UserError, match=message) as caught:
        dataset = clip_dataset(cache, cache.clips, cache.labels, ViewSpec(frames=4))
        list(Loader(dataset, 0, torch.device("cpu")).batches([[Request(1)]]))
    assert "1001_DFA_DIS_XX" in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_cut_off_or_foreign_shard_is_reported_in_one_line(copied):
    path = copied / "faces" / "00000.arrow"
    original = path.read_bytes()
    for content in (original[: len(original) // 2], b"", b"ARROW1 but not really" * 100, None):
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(UserError, match="extract this cache again") as caught:
            ShardReader(copied, 18).read(0, 0, "1001_DFA_ANG_XX")
        assert "\n" not in str(caught.value)
        path.touch()


def test_a_row_beyond_the_end_of_a_shard_is_reported_in_one_line(sample_cache):
    with pytest.raises(UserError, match="extract this cache again"):
        ShardReader(sample_cache, 18).read(0, 600, "1001_DFA_ANG_XX")


@pytest.fixture
def read_many(tmp_path):
    """Read a number of shards in a process that may open only so many files; returns what it printed."""
    clip = made_up.clip("a", 0)
    faces = made_up.cache(tmp_path, "made-up", [clip]) / "faces"
    program = """if True:
        import sys
        from pathlib import Path
        import pyarrow.ipc
        from dfer.schemas.support.errors import UserError
        from dfer.schemas.face_shards import ShardReader

        reader = ShardReader(Path(sys.argv[1]), 18)
        others = [open(sys.executable) for _ in range(int(sys.argv[3]))]
        try:
            first = bytes(reader.read(0, 0, "000000").crops[0])
            kept = [reader.read(shard, 0, "000000").crops[0] for shard in range(int(sys.argv[2]))]
            print(all(crop == first for crop in kept))
        except UserError as error:
            print(error)
    """

    def read(shards, files, others=0):
        for number in range(1, shards):
            (faces / f"{number:05}.arrow").symlink_to(faces / "00000.arrow")
        limit = partial(resource.setrlimit, resource.RLIMIT_NOFILE, (files, files))
        command = [sys.executable, "-c", program, faces.parent, str(shards), str(others)]
        return subprocess.run(command, capture_output=True, text=True, preexec_fn=limit).stdout

    return read


def test_a_cache_may_have_more_shards_than_a_process_may_open_files(read_many):
    assert read_many(shards=400, files=200) == "True\n"


def test_a_shard_that_the_system_cannot_open_is_not_called_damaged(read_many):
    assert read_many(shards=100, files=100, others=80).endswith(
        ".arrow cannot be read: Too many open files\n"
    )
