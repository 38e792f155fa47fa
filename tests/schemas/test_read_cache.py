import json
import shutil

import polars as pl
import pytest

from dfer.schemas import cache
from dfer.schemas.read_cache import read_cache_info, read_clips, require_faces
from dfer.schemas.support.errors import UserError


@pytest.fixture
def copied_cache(sample_cache, tmp_path):
    return shutil.copytree(sample_cache, tmp_path / "cache")


def test_a_newer_cache_format_is_refused_with_advice(copied_cache):
    path = copied_cache / cache.INFO_FILE
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "format_version": 99, "surprise": 1}))
    with pytest.raises(UserError, match=r"cache format 99, this program reads 2; update dfer-keypoints"):
        read_cache_info(copied_cache)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"format_version": 2}', '{"format_version": "1"}'])
def test_a_damaged_info_file_gives_one_line(copied_cache, content):
    (copied_cache / cache.INFO_FILE).write_text(content)
    with pytest.raises(UserError, match=r"cache\.json is damaged: .*extract again$"):
        read_cache_info(copied_cache)


@pytest.mark.parametrize(
    "wrong", [{"settings": []}, {"labels": "ab"}, {"labels": [1]}, {"dataset": 1}, {"models": None}]
)
def test_a_value_of_the_wrong_type_gives_one_line(copied_cache, wrong):
    path = copied_cache / cache.INFO_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), **wrong}))
    with pytest.raises(UserError, match=f"wrong type of {next(iter(wrong))}; extract again"):
        read_cache_info(copied_cache)


def test_a_folder_that_is_not_a_cache_is_reported(tmp_path):
    with pytest.raises(UserError, match="not a landmark cache"):
        read_cache_info(tmp_path)
    with pytest.raises(UserError, match="no such cache:"):
        read_cache_info(tmp_path / "missing")


def test_a_clips_table_without_its_columns_is_refused(copied_cache):
    table = read_clips(copied_cache).drop("fingerprint")
    table.write_parquet(copied_cache / cache.CLIPS_FILE)
    with pytest.raises(UserError, match="wrong columns: fingerprint"):
        read_clips(copied_cache)


def test_shared_tables_are_distinguished_from_a_damaged_cache(copied_cache):
    require_faces(copied_cache)
    (copied_cache / "seal.json").unlink()
    shutil.rmtree(copied_cache / "faces")
    require_faces(copied_cache)  # the commits show that it had faces
    shutil.rmtree(copied_cache / "commits")
    with pytest.raises(UserError, match="has landmark tables but no faces"):
        require_faces(copied_cache)
    (copied_cache / "clips.parquet").unlink()
    require_faces(copied_cache)  # neither; other checks report it


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"settings": {"size": 100_000}}, "invalid crop size"),
        ({"settings": {"size": "128"}}, "invalid crop size"),
        ({"keypoint_set": "mine"}, "unknown key-point set 'mine'; this program has dlib18"),
        ({"labels": ["anger", "anger"]}, "a label is listed twice"),
    ],
)
def test_a_value_that_nothing_can_work_with_gives_one_line(copied_cache, wrong, message):
    path = copied_cache / cache.INFO_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), **wrong}))
    with pytest.raises(UserError, match=message):
        read_cache_info(copied_cache)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (pl.col("clip_id").first(), "a clip is listed twice or has no id"),
        (pl.lit(None, pl.String).alias("clip_id"), "a clip is listed twice or has no id"),
        (pl.lit(None, pl.Int32).alias("row"), "a usable clip has no shard or row"),
    ],
)
def test_a_clips_table_with_invalid_rows_is_refused(copied_cache, change, message):
    read_clips(copied_cache).with_columns(change).write_parquet(copied_cache / cache.CLIPS_FILE)
    with pytest.raises(UserError, match=message):
        read_clips(copied_cache)
