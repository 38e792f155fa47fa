"""Settings read back from a cache that somebody else made, or changed by hand."""

import json

import pytest

from dfer.data_manifest.datasets import Manifest
from dfer.pipeline.config import ExtractConfig, config_of
from dfer.pipeline.run.extract import begun, extract_shard, join_slices
from dfer.pipeline.run.workers import Limits
from dfer.schemas.manifest import MANIFEST_SCHEMA
from dfer.schemas.read_cache import read_cache_info
from dfer.schemas.support.errors import UserError

CONFIG = ExtractConfig(frames=8, margin=0, blendshapes=True)


@pytest.fixture
def cache(tmp_path):
    """A cache that was begun, of no clips."""
    manifest = Manifest(dataset="x", labels=(), clips=MANIFEST_SCHEMA.to_frame())
    with begun(manifest, tmp_path / "cache", CONFIG):
        return tmp_path / "cache"


def change_settings(cache, **changes):
    """Change settings in `cache.json`; what is set to `...` is taken out."""
    content = json.loads((cache / "cache.json").read_text())
    settings = {**content["settings"], **changes}
    content["settings"] = {name: value for name, value in settings.items() if value is not ...}
    (cache / "cache.json").write_text(json.dumps(content))


def test_what_a_cache_was_made_with_is_read_back(cache):
    assert config_of(cache, read_cache_info(cache)) == CONFIG


WRONG = {
    "one is missing": ({"shard_clips": ...}, "its settings lack shard_clips; use the version"),
    "two are missing": ({"size": ..., "align": ...}, "its settings lack size, align; use the version"),
    "unknown": ({"zoom\n": 2}, r"its settings have 'zoom\\n', unknown here; use the version"),
    "a text for a number": (
        {"shard_clips": "many"},
        "shard_clips is 'many', which is no int; make the cache",
    ),
    "a truth for a number": ({"frames": True}, "its setting frames is True, which is no int"),
    "a part of a frame": ({"frames": 8.5}, "its setting frames is 8.5, which is no int"),
    "a number for a truth": ({"blendshapes": 1}, "its setting blendshapes is 1, which is no bool"),
    "nothing": ({"input": None}, "its setting input is None, which is no str"),
    "a list": ({"align": ["box"]}, r"its setting align is \['box'\], which is no str"),
    "out of range": ({"shard_clips": 0}, "its settings cannot be: --shard-clips 0: it must lie between"),
    "another choice": ({"input": "hand"}, "its settings cannot be: --input hand: it must be scene or face"),
    "no number": ({"margin": float("nan")}, "its settings cannot be: --margin nan"),
}


@pytest.mark.parametrize("name", WRONG)
def test_settings_that_cannot_be_name_the_file_and_the_key(name, cache, model_paths):
    changes, message = WRONG[name]
    change_settings(cache, **changes)
    where = f"^{cache}/cache.json: .*{message}"
    with pytest.raises(UserError, match=where):
        join_slices(cache)
    with pytest.raises(UserError, match=where):
        extract_shard(cache, cache, 0, model_paths, Limits(), None)


def test_a_strangers_endless_settings_make_a_short_line(cache):
    change_settings(cache, size="9" * 100_000)
    with pytest.raises(UserError) as caught:
        config_of(cache, read_cache_info(cache))
    assert len(str(caught.value)) < 400
    change_settings(cache, size=128, **{f"{'x' * 1000}{i}": i for i in range(1000)})
    with pytest.raises(UserError) as caught:
        config_of(cache, read_cache_info(cache))
    assert len(str(caught.value)) < 800


@pytest.mark.parametrize("command", [("finalize",), ("shard", "here", "0")])
def test_the_commands_say_it_in_one_line(command, cli, cache):
    change_settings(cache, shard_clips=...)
    name, *more = command
    outcome = cli("pipeline", name, cache, *more)
    assert outcome.returncode == 1
    assert outcome.stderr.startswith(f"pipeline: {cache}/cache.json: its settings lack shard_clips; ")
    assert len(outcome.stderr.splitlines()) == 1
