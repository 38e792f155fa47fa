"""The settings of an extraction: what decides the content of the cache, and how the work is run."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dfer.schemas.support.errors import UserError
from dfer.schemas.support.settings import Settings, setting

SCENE, FACE = "scene", "face"
SIMILARITY, BOX = "similarity", "box"
BLAZEFACE, HOG = "blazeface", "hog"
HEAVIEST, LARGEST, CENTER, LONGEST = "heaviest", "largest", "center", "longest"
ALL, EVERYBODY = "all", 1000  # people in a clip: the word, and a number that no clip has
# Settings that earlier versions did not have, left out where they change nothing: those caches stay the same.
ADDED = {"rate": 0.0, "people": 1, "person": HEAVIEST}


@dataclass(frozen=True, kw_only=True)
class ExtractConfig(Settings):
    """What decides the content of a cache. Raises UserError naming the flag of a wrong value."""

    frames: int = setting(32, "maximum number of frames kept per clip, evenly spaced", low=1, high=10_000)
    rate: float = setting(
        0.0,
        "frames kept per second of a clip, up to that maximum; 0: the maximum of every clip",
        low=0,
        high=1000,
    )
    input: str = setting(
        SCENE,
        "what the frames show; face: face crops already (DFEW, FERV39k)",
        choices=(SCENE, FACE),
    )
    detector: str = setting(
        BLAZEFACE,
        "face detector; hog: dlib's alone, without MediaPipe, which misses small faces",
        choices=(BLAZEFACE, HOG),
    )
    people: int = setting(
        1,
        "how many people to follow in a clip; each further one is a row CLIP#2, CLIP#3, … without a label",
        low=1,
        high=EVERYBODY,
        words={ALL: EVERYBODY},
    )
    person: str = setting(
        HEAVIEST,
        "whom to follow first: the face that is large, certain and stays (heaviest), the largest, the one nearest to "
        "the centre of the picture, or the one in most frames (longest)",
        choices=(HEAVIEST, LARGEST, CENTER, LONGEST),
    )
    min_score: float = setting(0.5, "lowest score of a BlazeFace detection", low=0, high=1)
    min_found: float = setting(
        0.0,
        "minimum share of frames in which the face was found; below it the clip is no_face",
        low=0,
        high=1,
    )
    size: int = setting(128, "side of the face crops, pixels", low=16, high=1024)
    margin: float = setting(0.1, "border around the face, as a share of the face", low=0, high=2)
    align: str = setting(
        SIMILARITY,
        "crop alignment; similarity levels the eyes, box does not",
        choices=(SIMILARITY, BOX),
    )
    quality: int = setting(95, "JPEG quality of the crops", low=1, high=100)
    blendshapes: bool = setting(False, "add MediaPipe's 52 expression scores for every frame")
    shard_clips: int = setting(
        256,
        "clips per shard, the unit of resuming; 4096 by default where all are stills",
        low=1,
        high=100_000,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.blendshapes and self.detector == HOG:
            raise UserError("--blendshapes needs MediaPipe, which --detector hog avoids; drop one")

    @property
    def only_heaviest(self) -> bool:
        """Whether only the heaviest face is followed, as by default, so that nobody else need be found."""
        return self.people == 1 and self.person == HEAVIEST

    def landmark_settings(self) -> dict[str, Any]:
        """Return the settings that boxes and landmarks depend on."""
        names = ("frames", "rate", "people", "person", "input", "detector", "min_score", "min_found")
        found = self.as_dict()
        return {name: found[name] for name in names if name in found}

    def as_dict(self) -> dict[str, Any]:
        """All settings by name, as flags take them, without those of `ADDED` that have their defaults."""
        found = asdict(self) | {"people": ALL if self.people == EVERYBODY else self.people}
        return {name: value for name, value in found.items() if name not in ADDED or value != ADDED[name]}


@dataclass(frozen=True, kw_only=True)
class Slice:
    """The shards number, number + count, number + 2·count, … of a cache: the share of one machine of `count`."""

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 0 <= self.number < self.count:
            raise UserError(f"--slice {self.number}/{self.count}: I must be between 0 and N-1")


@dataclass(frozen=True, kw_only=True)
class RunOptions(Settings):
    """How an extraction is run. None of it changes the bytes of the cache.

    models_folder: folder with the model files; by default they are looked up (`setup.models`)
    reuse: earlier caches to take boxes and landmarks from
    workers: processes; by default one per core
    slice: extract only this share of the shards
    dask: address of a Dask scheduler that runs the shards
    retry: extract shards with quarantined or undecodable clips again
    """

    models_folder: Path | None = None
    reuse: tuple[Path, ...] = ()
    clip_timeout: float = setting(
        60.0, "per-clip timeout, seconds of work or standstill; waiting for a CPU does not count", low=0.001
    )
    loading_timeout: float = setting(
        300.0, "how long a worker may stand still while it loads the models, seconds", low=0.001
    )
    worker_memory: float = setting(2.0, "memory limit per worker, GB", low=0.5)
    workers: int | None = None
    slice: Slice | None = None
    dask: str | None = None
    retry: bool = False


def settings_hash(*parts: dict[str, Any]) -> str:
    """Hash settings and whatever else decides the result, such as the hashes of the model files (sha256)."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
