import json
import shutil

import pytest

from dfer.schemas import cache
from dfer.schemas.read_cache import read_cache_info, read_clips, require_faces
from dfer.schemas.support.errors import UserError


@pytest.fixture
def copied_cache(sample_cache, tmp_path):
    return shutil.copytree(sample_cache, tmp_path / "cache")


def test_a_cache_of_a_newer_format_is_refused_with_what_to_do(copied_cache):
    path = copied_cache / cache.INFO_FILE
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "format_version": 99, "surprise": 1}))
    with pytest.raises(UserError, match=r"cache format 99, this program reads 1: update dfer-keypoints"):
        read_cache_info(copied_cache)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"format_version": 1}', '{"format_version": "1"}'])
def test_a_damaged_info_file_is_one_line(copied_cache, content):
    (copied_cache / cache.INFO_FILE).write_text(content)
    with pytest.raises(UserError, match=r"cache\.json is damaged: .*make the cache again$"):
        read_cache_info(copied_cache)


@pytest.mark.parametrize(
    "wrong", [{"settings": []}, {"labels": "ab"}, {"labels": [1]}, {"dataset": 1}, {"models": None}]
)
def test_a_value_of_the_wrong_kind_is_one_line(copied_cache, wrong):
    path = copied_cache / cache.INFO_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), **wrong}))
    with pytest.raises(UserError, match=f"wrong kind of value in {next(iter(wrong))}; make the cache again"):
        read_cache_info(copied_cache)


def test_a_folder_that_is_no_cache_is_said_to_be_none(tmp_path):
    with pytest.raises(UserError, match="not a landmark cache"):
        read_cache_info(tmp_path)
    with pytest.raises(UserError, match="no such cache folder"):
        read_cache_info(tmp_path / "missing")


def test_a_clips_table_without_its_columns_is_refused(copied_cache):
    table = read_clips(copied_cache).drop("fingerprint")
    table.write_parquet(copied_cache / cache.CLIPS_FILE)
    with pytest.raises(UserError, match="wrong columns: fingerprint"):
        read_clips(copied_cache)


def test_shared_tables_are_told_from_a_cache_that_lost_something(copied_cache):
    require_faces(copied_cache)
    (copied_cache / "seal.json").unlink()
    shutil.rmtree(copied_cache / "faces")
    require_faces(copied_cache)  # its commits show that it had faces
    shutil.rmtree(copied_cache / "commits")
    with pytest.raises(UserError, match="holds tables only"):
        require_faces(copied_cache)
    (copied_cache / "clips.parquet").unlink()
    require_faces(copied_cache)  # something else, of which something else is said
