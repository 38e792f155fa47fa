"""The face that was followed through a clip, as pictures and drawings show it."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from dfer.schemas.cache import SHARD_FILES
from dfer.schemas.face_shards import ShardReader
from dfer.schemas.keypoints import KeypointSet
from dfer.schemas.read_cache import read_landmarks
from dfer.schemas.support.errors import UserError
from dfer.train.data.caches import Pool

COLUMNS = ("clip_id", "frame", "time_s", "box", "keypoints")


@dataclass(frozen=True, kw_only=True)
class FaceTrack:
    """A face in the m frames that are kept of a clip.

    times: (m,) seconds from the clip's first frame, NaN where unknown
    boxes: (m, 4) x0, y0, x1, y1 in pixels of the picture as it is shown
    keypoints: (m, K, 2) likewise
    keypoint_set: which key-points these are
    crop_keypoints: (m, K, 2) in pixels of the crops
    detected: (m,) bool, False where the box is carried over from neighbouring frames
    crops: m JPEGs
    """

    times: np.ndarray
    boxes: np.ndarray
    keypoints: np.ndarray
    keypoint_set: KeypointSet
    crop_keypoints: np.ndarray
    detected: np.ndarray
    crops: tuple[bytes, ...]


def face_tracks(pool: Pool, clips: pl.DataFrame) -> dict[str, FaceTrack]:
    """Read the faces of clips, by the clips' ids.

    clips: usable rows of the table of a pool of one cache

    Raises UserError if the cache is damaged.
    """
    reader, tracks = ShardReader(pool.folders[0], pool.keypoints.count), {}
    for (shard,), of_shard in clips.group_by("shard", maintain_order=True):
        found = read_landmarks(pool.folders[0], shard, COLUMNS).sort("clip_id", "frame")
        tables = found.partition_by("clip_id", as_dict=True)
        for clip, row in of_shard.select("stored_id", "row").iter_rows():
            stored, table = reader.read(shard, row, clip), tables.get((clip,))
            if table is None or len(table) != len(stored.crops):
                path = pool.folders[0] / SHARD_FILES["landmarks"].format(shard)
                raise UserError(f"{path} lacks frames of clip {clip}; extract this cache again")
            tracks[clip] = FaceTrack(
                times=table["time_s"].cast(pl.Float64).fill_null(np.nan).to_numpy(),
                boxes=table["box"].to_numpy(),
                keypoints=table["keypoints"].to_numpy(),
                keypoint_set=pool.keypoints,
                crop_keypoints=np.array(stored.keypoints),
                detected=np.array(stored.detected),
                crops=tuple(map(bytes, stored.crops)),
            )
    return tracks
