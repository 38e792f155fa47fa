"""Boxes and landmarks from earlier caches, looked up by a clip's content, so that no face is detected twice.

A worker process opens the tables itself; it is only passed where they are.
"""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from dfer.pipeline.records import StoredFace
from dfer.schemas import cache as layout
from dfer.schemas.read_cache import read_cache_info, read_clips, read_landmarks
from dfer.schemas.support.errors import UserError

# Read from a landmark table.
COLUMNS = ("clip_id", "frame", "source_frame", "detector", "score", "box", "landmarks")

# of a person in a clip: cache, shard, clip_id, source_warning; None where no face was found
Place = tuple[Path, int, str, str | None] | None


@dataclass(frozen=True, kw_only=True)
class Reuse:
    """Earlier caches. If several have a clip, the first one counts."""

    folders: tuple[Path, ...]

    def load(self) -> None:
        """Read the tables of clips, which `find` looks into."""
        _index(self.folders)

    def find(self, fingerprint: str) -> tuple[StoredFace, ...] | None:
        """Find the faces of the clip with this content, one a person; None if no cache has it.

        Raises UserError if a cache is damaged.
        """
        places = _index(self.folders).get(fingerprint)
        return places and tuple(_read(*place) for place in places if place)


def open_reuse(folders: tuple[Path, ...], landmark_hash: str) -> Reuse | None:
    """Open earlier caches whose landmarks were made with the settings of this hash; None for no folders.

    Raises UserError if a folder is not a cache or was made with other detection settings.
    """
    for folder in folders:
        info = read_cache_info(folder)
        if info.landmark_hash != landmark_hash:
            raise UserError(
                f"--reuse {folder}: its landmarks were made with other settings or models "
                f"({', '.join(f'{k}={v}' for k, v in info.settings.items())}); leave it out"
            )
        read_clips(folder)
    return Reuse(folders=folders) if folders else None


@functools.cache
def _index(folders: tuple[Path, ...]) -> dict[str, list[Place]]:
    """Map the fingerprint of each clip with a reusable result to the places of its people."""
    places: dict[str, list[Place]] = {}
    for folder in folders:
        clips = read_clips(folder, people=True).filter(pl.col("status").is_in([layout.OK, layout.NO_FACE]))
        columns = ("person", "fingerprint", "status", "shard", "clip_id", "source_warning")
        of_clip: list[Place] = []
        for person, fingerprint, status, *place in clips.select(columns).iter_rows():
            if person == 1:
                of_clip = []  # further people come right after the clip's own row
                places.setdefault(fingerprint, of_clip)
            of_clip.append((folder, *place) if status == layout.OK else None)
    return places


def _read(folder: Path, shard: int, clip_id: str, warning: str | None) -> StoredFace:
    rows = _shard_table(folder, shard).filter(pl.col("clip_id") == clip_id).sort("frame")
    numbers = [rows[name].to_numpy() for name in ("box", "landmarks")] if len(rows) else []
    if not numbers or not all(np.isfinite(part).all() for part in numbers):
        raise UserError(f"--reuse {folder}: the landmarks of {clip_id} are missing or damaged; leave it out")
    return StoredFace(
        positions=rows["source_frame"].to_list(),
        detector=rows["detector"].to_list(),
        score=rows["score"].to_list(),
        boxes=numbers[0].astype(float),
        landmarks=numbers[1].astype(float),
        warning=warning,
    )


@functools.lru_cache(maxsize=2)
def _shard_table(folder: Path, shard: int) -> pl.DataFrame:
    return read_landmarks(folder, shard, COLUMNS, advice=f"leave out --reuse {folder}")
