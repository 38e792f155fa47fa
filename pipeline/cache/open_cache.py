"""`dfer.pipeline.open_cache`: a finished cache from Python."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from dfer.schemas.cache import OK, CacheInfo, landmarks_schema
from dfer.schemas.face_shards import ShardReader, StoredClip
from dfer.schemas.read_cache import read_cache_info, read_clips, read_landmarks, require_faces
from dfer.schemas.support.errors import UserError


@dataclass(frozen=True, kw_only=True)
class OpenCache:
    """A finished cache. Iterating over it gives the ids of its usable clips, in its order.

    folder: where it is
    info: what made it: dataset, labels, key-point set, settings, versions
    clips: a row a clip, usable or not (CLIPS_SCHEMA, polars)
    """

    folder: Path
    info: CacheInfo
    clips: pl.DataFrame
    _places: dict[str, tuple[int, int]] = field(repr=False)
    _reader: ShardReader = field(repr=False)

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __contains__(self, clip_id: object) -> bool:
        return clip_id in self._places

    def __getitem__(self, clip_id: str) -> StoredClip:
        """Read a clip's face: crops as JPEGs, landmarks and key-points in crop pixels, expression scores.

        Raises UserError if there is no such usable clip, or the cache is damaged.
        """
        return self._reader.read(*self._place(clip_id), clip_id)

    def frames(self, clip_id: str) -> np.ndarray:
        """Decode a clip's crops: (m, s, s, 3) uint8, RGB. Raises UserError as `cache[clip_id]`."""
        import simplejpeg

        try:
            return np.stack([simplejpeg.decode_jpeg(crop, colorspace="RGB") for crop in self[clip_id].crops])
        except ValueError as error:
            raise UserError(f"{self.folder}, clip {clip_id}: {error}; extract this cache again") from None

    def landmarks(self, clip_id: str) -> pl.DataFrame:
        """Read a clip's rows of the landmark table, a row a frame: times, boxes, points in source pixels.

        Raises UserError as `cache[clip_id]`.
        """
        shard, _ = self._place(clip_id)
        table = read_landmarks(self.folder, shard, landmarks_schema(self.info.keypoints.count).names())
        return table.filter(clip_id=clip_id).sort("frame")

    def _place(self, clip_id: str) -> tuple[int, int]:
        if clip_id not in self._places:
            found = self.clips.filter(clip_id=clip_id)
            why = (
                f"it is {found['status'][0]}: {found['reason'][0]}" if len(found) else "there is no such clip"
            )
            raise UserError(f"{self.folder}, clip {clip_id}: {why}")
        return self._places[clip_id]


def open_cache(path: str | os.PathLike) -> OpenCache:
    """Open a finished cache.

    path: its folder

    Raises UserError if it is not a finished cache that this version can read, or has no faces (`pipeline share`).
    """
    folder = Path(path)
    info = read_cache_info(folder)
    require_faces(folder)
    clips = read_clips(folder)
    places = clips.filter(status=OK).select("clip_id", "shard", "row").iter_rows()
    return OpenCache(
        folder=folder,
        info=info,
        clips=clips,
        _places={clip: (shard, row) for clip, shard, row in places},
        _reader=ShardReader(folder, info.keypoints.count),
    )
