"""What `cache.json` says of an extraction: made from its settings, and read back from a cache."""

import dataclasses
import reprlib
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dfer.data_manifest.datasets import Manifest
from dfer.pipeline.config import ExtractConfig, settings_hash
from dfer.pipeline.setup.models import model_hashes
from dfer.schemas.cache import INFO_FILE, CacheInfo
from dfer.schemas.keypoints import KeypointSet
from dfer.schemas.support.errors import UserError

LIBRARIES = ("av", "decord2", "dlib-bin", "mediapipe", "numpy", "pillow", "polars", "pyarrow", "simplejpeg")


def make_info(manifest: Manifest, config: ExtractConfig, keypoints: KeypointSet) -> CacheInfo:
    """Make the content of `cache.json` for an extraction with this program."""
    return CacheInfo(
        dataset=manifest.dataset,
        labels=manifest.labels,
        keypoint_set=keypoints.name,
        settings=config.as_dict(),
        settings_hash=settings_hash(config.as_dict(), model_hashes()),
        landmark_hash=landmark_hash(config),
        versions={name: version(name) for name in LIBRARIES},
        models=model_hashes(),
    )


def landmark_hash(config: ExtractConfig) -> str:
    """Hash what boxes and landmarks depend on: extractions with the same hash can reuse each other's."""
    return settings_hash(config.landmark_settings(), model_hashes())


def read_config(cache: Path, info: CacheInfo) -> ExtractConfig:
    """Read and check the settings in a cache's `cache.json`.

    Raises UserError if one is missing, unknown, of the wrong type or out of range.
    """
    return config_from(info.settings, str(cache / INFO_FILE))


def config_from(found: Mapping[str, Any], file: str) -> ExtractConfig:
    """Check settings that a file has.

    file: where they are, for messages

    Raises UserError as `read_config` does.
    """
    names = [field.name for field in dataclasses.fields(ExtractConfig)]
    advice = "use the version that made the cache"
    if missing := [name for name in names if name not in found]:
        raise UserError(f"{file}: settings {', '.join(missing)} are missing; {advice}")
    if unknown := sorted(found.keys() - names):
        listed = reprlib.repr(unknown)[1:-1]  # there may be many, and long ones
        raise UserError(f"{file}: unknown settings {listed}; {advice}")
    try:
        return ExtractConfig(**found)
    except UserError as error:
        raise UserError(f"{file}: invalid settings: {error}; extract again") from None
