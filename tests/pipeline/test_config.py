"""Settings: limits, flags and hashes, and settings read back from a cache that anybody may have changed."""

import json
import subprocess
import sys
from dataclasses import fields

import pytest

from dfer.data_manifest.datasets import Manifest
from dfer.pipeline.cache.info import make_info, read_config
from dfer.pipeline.config import ExtractConfig, RunOptions
from dfer.pipeline.run.extract import prepared_cache
from dfer.pipeline.run.finalize import finalize
from dfer.pipeline.run.shard import extract_shard
from dfer.schemas.keypoints import DLIB18
from dfer.schemas.manifest import MANIFEST_SCHEMA
from dfer.schemas.read_cache import read_cache_info
from dfer.schemas.support.errors import UserError

CONFIG = ExtractConfig(frames=8, margin=0, blendshapes=True)
NO_CLIPS = Manifest(dataset="x", labels=(), clips=MANIFEST_SCHEMA.to_frame())


@pytest.fixture
def cache(tmp_path):
    """A prepared cache without clips."""
    with prepared_cache(NO_CLIPS, tmp_path / "cache", CONFIG, DLIB18):
        return tmp_path / "cache"


def change_settings(cache, **changes):
    """Change settings in `cache.json`; `...` removes one."""
    content = json.loads((cache / "cache.json").read_text())
    settings = {**content["settings"], **changes}
    content["settings"] = {name: value for name, value in settings.items() if value is not ...}
    (cache / "cache.json").write_text(json.dumps(content))


@pytest.mark.parametrize("wrong", [{"frames": 0}, {"margin": -0.1}, {"quality": 101}, {"min_score": 2.0}])
def test_a_setting_out_of_range_names_its_flag(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(UserError, match=f"--{name.replace('_', '-')} {value}: must be between"):
        ExtractConfig(**wrong)


def test_every_setting_has_a_flag_with_its_default(here):
    help_text = " ".join(here("pipeline", "extract", "--help").stdout.split())
    for field in fields(ExtractConfig):
        shown = {"True": "yes", "False": "no"}.get(str(field.default), field.default)
        flag = f"--{field.name.replace('_', '-')}"
        assert flag in help_text and f"default: {shown}" in help_text.split(flag)[-1], flag


def test_every_setting_changes_the_hash_that_a_commit_must_match():
    changes = [
        {},
        {"frames": 31},
        {"rate": 4.0},
        {"people": "all"},
        {"person": "center"},
        {"min_score": 0.6},
        {"size": 96},
        {"margin": 0.2},
        {"quality": 90},
    ]
    changes += [
        {"input": "face"},
        {"align": "box"},
        {"blendshapes": True},
        {"shard_clips": 255},
        {"detector": "hog"},
        {"min_found": 0.5},
    ]
    hashes = {make_info(NO_CLIPS, ExtractConfig(**change), DLIB18).settings_hash for change in changes}
    assert len(hashes) == len(changes) == len(fields(ExtractConfig)) + 1


def test_the_hash_of_the_default_settings_stays_the_same():
    """Another hash would make every existing cache unusable for a resume."""
    info = make_info(NO_CLIPS, ExtractConfig(), DLIB18)
    assert info.settings_hash == "4db4b2d42b4d74bd8988543fd3a21335ce32a87bed45459cf0728647544a230c"
    assert info.landmark_hash == "b8ec3090da9f19def41730a24139482ca361fe1f7b00104029f6c298b6337372"


def test_the_settings_of_a_cache_are_read_back(cache):
    assert read_config(cache, read_cache_info(cache)) == CONFIG


WRONG = {
    "one is missing": ({"shard_clips": ...}, "settings shard_clips are missing; use the version"),
    "two are missing": ({"frames": ..., "align": ...}, "settings frames, align are missing; use the version"),
    "unknown": ({"zoom\n": 2}, r"unknown settings 'zoom\\n'; use the version"),
    "text for a number": ({"shard_clips": "many"}, '--shard-clips "many": must be an integer; extract again'),
    "bool for a number": ({"frames": True}, "--frames true: must be an integer"),
    "fraction": ({"frames": 8.5}, "--frames 8.5: must be an integer"),
    "number for a bool": ({"blendshapes": 1}, "--blendshapes 1: must be true or false"),
    "null": ({"input": None}, "--input null: must be text"),
    "list": ({"align": ["box"]}, r'--align \["box"\]: must be text'),
    "out of range": ({"shard_clips": 0}, "--shard-clips 0: must be between 1 and 100000"),
    "unknown choice": ({"input": "hand"}, "--input hand: must be one of scene, face"),
    "NaN": ({"margin": float("nan")}, "--margin nan: must be between"),
}


@pytest.mark.parametrize("name", WRONG)
def test_invalid_settings_name_the_file_and_the_setting(name, cache):
    changes, message = WRONG[name]
    change_settings(cache, **changes)
    where = f"^{cache}/cache.json: .*{message}"
    with pytest.raises(UserError, match=where):
        finalize(cache)
    with pytest.raises(UserError, match=where):
        extract_shard(cache, cache, 0, RunOptions())


def test_very_long_invalid_settings_make_a_short_line(cache):
    change_settings(cache, align="9" * 100_000)
    with pytest.raises(UserError) as caught:
        read_config(cache, read_cache_info(cache))
    assert len(str(caught.value)) < 400
    change_settings(cache, align="box", **{f"{'x' * 1000}{i}": i for i in range(1000)})
    with pytest.raises(UserError) as caught:
        read_config(cache, read_cache_info(cache))
    assert len(str(caught.value)) < 800


@pytest.mark.parametrize("command", [("finalize",), ("shard", "here", "0")])
def test_the_commands_report_invalid_settings_in_one_line(command, here, cache):
    change_settings(cache, shard_clips=...)
    name, *more = command
    outcome = here("pipeline", name, cache, *more)
    assert outcome.returncode == 1
    assert outcome.stderr.startswith(f"pipeline: {cache}/cache.json: settings shard_clips are missing; ")
    assert len(outcome.stderr.splitlines()) == 1


def test_the_settings_load_no_heavy_library():
    check = "import sys; import dfer.pipeline.config; assert not {'polars', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True)
