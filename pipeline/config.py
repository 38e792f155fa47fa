"""The settings of an extraction, and the hashes that tell whether two extractions agree."""

import hashlib
import json
import reprlib
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from dfer.schemas.cache import INFO_FILE, CacheInfo
from dfer.schemas.support.errors import UserError

SCENE, FACE = "scene", "face"
SIMILARITY, BOX = "similarity", "box"


@dataclass(frozen=True, kw_only=True)
class ExtractConfig:
    """What decides the content of a cache.

    frames: most frames kept of a clip, at floor((k + 0.5)·n / frames) (1–1000).
    input: "scene", or "face" where every frame is a face crop already (DFEW, FERV39k).
    min_score: BlazeFace detections below it are ignored (0–1).
    size: side of the square crops, pixels (16–1024).
    margin: border around the face on every side, as a share of the face region (0–2).
    align: "similarity" turns the eyes level, "box" cuts the box out as it is.
    quality: of the crops' JPEG (1–100).
    blendshapes: add MediaPipe's 52 expression scores of every frame.
    shard_clips: clips in a shard, what is done or redone as a whole (1–100000).
    """

    frames: int = 32
    input: str = SCENE
    min_score: float = 0.5
    size: int = 128
    margin: float = 0.1
    align: str = SIMILARITY
    quality: int = 95
    blendshapes: bool = False
    shard_clips: int = 256

    def __post_init__(self) -> None:
        limits = {
            "frames": (1, 1000),
            "min_score": (0, 1),
            "size": (16, 1024),
            "margin": (0, 2),
            "quality": (1, 100),
            "shard_clips": (1, 100_000),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise UserError(f"{_flag(name)} {value}: it must lie between {low} and {high}")
        for name, choices in {"input": (SCENE, FACE), "align": (SIMILARITY, BOX)}.items():
            if getattr(self, name) not in choices:
                raise UserError(f"{_flag(name)} {getattr(self, name)}: it must be {' or '.join(choices)}")

    def landmark_settings(self) -> dict[str, Any]:
        """What boxes and landmarks depend on."""
        return {"frames": self.frames, "input": self.input, "min_score": self.min_score}

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def config_of(cache: Path, info: CacheInfo) -> ExtractConfig:
    """The settings that a cache's `cache.json` names, checked: until then they are a stranger's.

    Raises UserError where one is missing, unknown, of the wrong kind or out of range.
    """
    file, found = cache / INFO_FILE, info.settings
    kinds = {field.name: field.type for field in fields(ExtractConfig)}
    if missing := [name for name in kinds if name not in found]:
        raise UserError(
            f"{file}: its settings lack {', '.join(missing)}; use the version that made the cache"
        )
    if unknown := sorted(found.keys() - kinds):
        names = reprlib.repr(unknown)[1:-1]  # which may be many, and long
        raise UserError(
            f"{file}: its settings have {names}, unknown here; use the version that made the cache"
        )
    for name, kind in kinds.items():
        if type(found[name]) not in ((int, float) if kind is float else (kind,)):
            wrong = f"its setting {name} is {reprlib.repr(found[name])}, which is no {kind.__name__}"
            raise UserError(f"{file}: {wrong}; make the cache again")
    try:
        return ExtractConfig(**found)
    except UserError as error:
        raise UserError(f"{file}: its settings cannot be: {error}; make the cache again") from None


def settings_hash(*parts: dict[str, Any]) -> str:
    """sha256 of settings and of whatever else decides the result, such as the model files' own hashes."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
