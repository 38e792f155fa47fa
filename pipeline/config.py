"""The settings of an extraction, and the hashes that tell whether two extractions agree."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from schemas.errors import UserError


@dataclass(frozen=True, kw_only=True)
class ExtractConfig:
    """What decides the content of a cache.

    frames: most frames kept of a clip, at floor((k + 0.5)·n / frames) (1–1000).
    min_score: BlazeFace detections below it are ignored (0–1).
    size: side of the square crops, pixels (16–1024).
    margin: border around the face on every side, as a share of the face region (0–2).
    quality: of the crops' JPEG (1–100).
    shard_clips: clips in a shard, what is done or redone as a whole (1–100000).
    """

    frames: int = 32
    min_score: float = 0.5
    size: int = 128
    margin: float = 0.1
    quality: int = 95
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
                flag = "--" + name.replace("_", "-")
                raise UserError(f"{flag} {value}: it must lie between {low} and {high}")

    def landmark_settings(self) -> dict[str, Any]:
        """What boxes and landmarks depend on."""
        return {"frames": self.frames, "min_score": self.min_score}

    def crop_settings(self) -> dict[str, Any]:
        """What the crops depend on beside the landmarks."""
        return {"size": self.size, "margin": self.margin, "quality": self.quality}

    def shard_settings(self) -> dict[str, Any]:
        """What the cutting into shards depends on."""
        return {"shard_clips": self.shard_clips}

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def settings_hash(*parts: dict[str, Any]) -> str:
    """sha256 of settings and of whatever else decides the result, such as the model files' own hashes."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
