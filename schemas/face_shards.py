"""Read any clip of a face shard with one memory-mapped access, and check it before use.

A cache may come from anybody, so ids, counts and sizes are compared.
"""

import itertools
import os
import resource
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dfer.schemas.blendshapes import BLENDSHAPES
from dfer.schemas.cache import SHARD_FILES, faces_schema
from dfer.schemas.keypoints import LANDMARKS
from dfer.schemas.support.errors import UserError


@dataclass(frozen=True, kw_only=True)
class StoredClip:
    """A clip in the cache, m frames. Coordinates are crop pixels."""

    crops: list[memoryview]  # m JPEGs, views of the mapped file
    landmarks: np.ndarray  # (m, 68, 2) float32
    keypoints: np.ndarray  # (m, K, 2) float32
    detected: np.ndarray  # (m,) bool
    blendshapes: np.ndarray | None  # (m, 52) float32, NaN: no face found; None: not requested


class ShardReader:
    """Random access to the clips of a cache by (shard, row)."""

    def __init__(self, folder: Path, keypoints: int) -> None:
        """keypoints: how many each frame has."""
        self._folder, self._keypoints = folder, keypoints
        self._open: dict[int, object] = {}

    def __getstate__(self) -> dict:
        return {"_folder": self._folder, "_keypoints": self._keypoints, "_open": {}}

    def read(self, shard: int, row: int, clip_id: str) -> StoredClip:
        """Read the clip at a row of a shard and check that it is the one named.

        Raises UserError if the shard is missing or damaged, cannot be read, or has another clip there.
        """
        import pyarrow as pa

        try:
            batch = self._reader(shard).get_batch(row)
            batch.validate(full=True)
            return _stored_clip(batch, clip_id, self._keypoints)
        except (pa.ArrowException, OSError, IndexError, KeyError, ValueError) as error:
            path, number = self._path(shard), getattr(error, "errno", None)
            # Arrow's own errors about a damaged file have no errno.
            if number and not isinstance(error, FileNotFoundError):
                raise UserError(f"{path} cannot be read: {os.strerror(number)}") from None
            reason = str(error).split("\n")[0]
            raise UserError(f"{path}, clip {clip_id}: {reason}; extract this cache again") from None

    def _path(self, shard: int) -> Path:
        return self._folder / SHARD_FILES["faces"].format(shard)

    def _reader(self, shard: int):
        import pyarrow as pa

        if shard not in self._open:
            reader = pa.ipc.open_file(pa.memory_map(str(self._path(shard))))
            for column in faces_schema():  # later formats may add columns, but never change one
                if reader.schema.field(column.name).type != column.type:
                    raise ValueError(f"column {column.name} has the wrong type")
            if len(self._open) >= _most_open():
                del self._open[next(iter(self._open))]  # clips read from it stay valid
            self._open[shard] = reader
        return self._open[shard]


def _most_open() -> int:
    """How many shards to keep open: a quarter of the process's limit on open files (often 1024), since there may be
    several caches."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1024 if soft == resource.RLIM_INFINITY else max(1, soft // 4)


def _stored_clip(batch, clip_id: str, count: int) -> StoredClip:
    if batch.num_rows != 1 or batch.column("clip_id")[0].as_py() != clip_id:
        raise ValueError("another clip is stored in its place")
    crops = _slices(batch.column("crops").values)
    detected = batch.column("detected").values.to_numpy(zero_copy_only=False)
    frames = len(crops)
    if not frames or len(detected) != frames:
        raise ValueError("the numbers of crops and detections differ")
    return StoredClip(
        crops=crops,
        landmarks=_points(batch.column("landmarks"), frames, LANDMARKS, "landmark"),
        keypoints=_points(batch.column("keypoints"), frames, count, "key-point"),
        detected=detected,
        blendshapes=_scores(batch.column("blendshapes"), frames),
    )


def _slices(binary) -> list[memoryview]:
    """The values of an Arrow array of bytes, without copying."""
    if binary.null_count:
        raise ValueError("a crop is missing")
    _, offsets, content = binary.buffers()
    ends = np.frombuffer(offsets, np.int32)[binary.offset : binary.offset + len(binary) + 1].tolist()
    view = memoryview(content).cast("B")
    return [view[start:end] for start, end in itertools.pairwise(ends)]


def _points(column, frames: int, count: int, name: str) -> np.ndarray:
    """The points of a clip (m, count, 2); `name` is what one is called."""
    points = column.values.to_numpy()
    if len(points) != frames * count * 2:
        raise ValueError(f"the numbers of crops and {name}s differ")
    if not np.isfinite(points).all():
        raise ValueError(f"a {name} is NaN or Inf")
    return points.reshape(frames, count, 2)


def _scores(column, frames: int) -> np.ndarray | None:
    if column.null_count:
        return None
    scores = column.values.to_numpy()
    if len(scores) != frames * len(BLENDSHAPES) or np.isinf(scores).any():
        raise ValueError("the expression scores are damaged")
    return scores.reshape(frames, len(BLENDSHAPES))
