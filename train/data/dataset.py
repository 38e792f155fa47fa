"""The usable clips of a table as a dataset: stored clips to batches of uint8 frames."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import torch
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from dfer.schemas.blendshapes import BLENDSHAPES
from dfer.schemas.face_shards import ShardReader, StoredClip
from dfer.schemas.support.errors import UserError
from dfer.train.config import TrainConfig
from dfer.train.data.caches import Pool
from dfer.train.data.coverage import label_ids
from dfer.train.data.sampling import Augmentation, View, evaluation_view, frame_positions

READ_AHEAD = 2  # batches that each worker process has ready


class Batch(NamedTuple):
    """Tensors; on the way from a worker all but the frames are arrays (`ClipDataset._batch`).

    frames (B, N, 3, s, s) uint8, keypoints (B, N, 18, 2) crop pixels, labels (B,) int64 (−1: does not count),
    windows (B, 2), flips (B,) bool, colours (B, 3), clips (B,) their numbers in the dataset,
    expressions (B, N, 52), NaN where none were found, or None where they are not asked for."""

    frames: Tensor
    keypoints: Tensor
    labels: Tensor
    windows: Tensor
    flips: Tensor
    colours: Tensor
    clips: Tensor
    expressions: Tensor | None

    def to(self, device: torch.device) -> "Batch":
        """The same on a device, except for what steers slices: reading that back would make the host wait."""
        here = ("windows", "flips", "clips")
        moved = {
            name: part.to(device, non_blocking=True)
            for name, part in self._asdict().items()
            if part is not None and name not in here
        }
        return self._replace(**moved)


class Request(NamedTuple):
    """One clip to be read, by its number. epoch, sample: which of its views; no epoch: the one it is judged by.
    counts: False for a clip that only fills a place."""

    clip: int
    epoch: int | None = None
    sample: int = 0
    counts: bool = True


@dataclass(frozen=True, kw_only=True)
class ViewSpec:
    """What is read of a clip. augmentation: of training; expressions: whether MediaPipe's scores are wanted."""

    frames: int
    augmentation: Augmentation | None = None
    expressions: bool = False


def view_spec(config: TrainConfig, augmentation: Augmentation | None = None) -> ViewSpec:
    """What a network of these settings sees of a clip."""
    return ViewSpec(
        frames=config.data.num_frames,
        augmentation=augmentation,
        expressions=config.network.expression_scores == "on",
    )


def clip_dataset(pool: Pool, clips: pl.DataFrame, labels: Sequence[str], view: ViewSpec) -> "ClipDataset":
    """Clips of the pool's table as a dataset; all of them must be usable.

    Raises UserError for labels that the network does not know, and where a cache lacks the scores it needs.
    """
    if view.expressions and pool.without_expressions:
        raise UserError(
            f"{pool.without_expressions[0]} has no expression scores, which the network needs: "
            "extract with --blendshapes, or train with --expression-scores off"
        )
    return ClipDataset(
        pool.folders, clips, label_ids(clips, labels), pool.crop_size, pool.keypoints.count, view
    )


def in_batches(clips: Sequence[int], batch_size: int) -> Iterator[list[Request]]:
    """A plan that judges these clips in this order."""
    for start in range(0, len(clips), batch_size):
        yield [Request(int(clip)) for clip in clips[start : start + batch_size]]


class ClipDataset(Dataset):
    """The usable clips of a pool's table (`train.shards`), read a batch at a time.

    folders: the pool's caches; labels: each clip's class as a number, −1 for none.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        clips: pl.DataFrame,
        labels: Sequence[int],
        crop_size: int,
        keypoints: int,
        view: ViewSpec,
    ) -> None:
        self._readers = [ShardReader(folder, keypoints) for folder in folders]
        self._folders = folders
        self._caches = clips["cache"].to_numpy()
        self._stored_ids = clips["stored_id"]
        self._shards = clips["shard"].to_numpy()
        self._rows = clips["row"].to_numpy()
        self._ids = clips["clip_id"]
        self.labels = np.asarray(labels, np.int64)
        self._size, self._keypoints = crop_size, keypoints
        self._spec = view
        self._memory = _Memory()

    def __len__(self) -> int:
        return len(self._ids)

    def ids(self, clips: Sequence[int]) -> list[str]:
        """The names of clips by their numbers."""
        return [self._ids[int(clip)] for clip in clips]

    def __getitems__(self, requests: Sequence[Request]) -> Batch | UserError:
        """A batch; a UserError comes back as a value, since a worker's exception arrives with its traceback."""
        try:
            return self._batch(requests)
        except UserError as error:
            return error

    def _batch(self, requests: Sequence[Request]) -> Batch:
        """A batch of which only the frames are a tensor: a worker sends each of its tensors with a file of its own,
        which takes longer than to send the bytes of a small array."""
        count, frames = len(requests), self._spec.frames
        pixels = self._memory.take((count, frames, self._size, self._size, 3))
        pictures = pixels.numpy()
        keypoints = np.empty((count, frames, self._keypoints, 2), np.float32)
        expressions = None
        if self._spec.expressions:
            expressions = np.full((count, frames, len(BLENDSHAPES)), np.nan, np.float32)
        views = [self._view(request) for request in requests]
        # All reading before all decoding: in turns, each would find the other's data in the processor's caches.
        clips = [self._read(request.clip) for request in requests]
        for place, (request, view, stored) in enumerate(zip(requests, views, clips, strict=True)):
            positions = frame_positions(len(stored.crops), view.offsets)
            self._decode(stored, positions, pictures[place], request.clip)
            keypoints[place] = stored.keypoints[positions]
            if expressions is not None and stored.blendshapes is not None:
                expressions[place] = stored.blendshapes[positions]
        labels = [self.labels[request.clip] if request.counts else -1 for request in requests]
        return Batch(
            frames=pixels.permute(0, 1, 4, 2, 3),  # (B, N, 3, s, s), stored as (B, N, s, s, 3)
            keypoints=keypoints,
            labels=np.array(labels),
            windows=np.array([view.window for view in views]),
            flips=np.array([view.flip for view in views]),
            colours=np.array([view.colour for view in views], np.float32),
            clips=np.array([request.clip for request in requests]),
            expressions=expressions,
        )

    def _read(self, clip: int) -> StoredClip:
        place = int(self._shards[clip]), int(self._rows[clip])
        return self._readers[self._caches[clip]].read(*place, self._stored_ids[clip])

    def _view(self, request: Request) -> View:
        if request.epoch is None or self._spec.augmentation is None:
            return evaluation_view(self._spec.frames)
        return self._spec.augmentation.view(request.epoch, request.sample)

    def _decode(self, stored: StoredClip, positions: np.ndarray, out: np.ndarray, clip: int) -> None:
        """JPEGs into out (N, s, s, 3). A clip shorter than N repeats frames: each is decoded once."""
        import simplejpeg

        for place, position in enumerate(positions):
            if place and position == positions[place - 1]:
                out[place] = out[place - 1]
                continue
            try:
                decoded = simplejpeg.decode_jpeg(stored.crops[position], colorspace="RGB", buffer=out[place])
                whole = decoded.shape == out.shape[1:]
            except ValueError:
                whole = False
            if not whole:
                reason = _why_not(stored.crops[position], self._size)
                where = f"{self._folders[self._caches[clip]]}, clip {self._stored_ids[clip]}"
                raise UserError(f"{where}: {reason}; make this cache again")


class _Memory:
    """Where batches are put. A worker's lie in memory that its parent maps, so that nothing is copied on the way, and
    are used in turn: to touch new shared pages takes half as long as to decode what they hold."""

    def __init__(self) -> None:
        # Those that wait, and the one that is in use.
        self._turns = [torch.empty(0, dtype=torch.uint8)] * (READ_AHEAD + 1)
        self._taken = 0

    def take(self, shape: tuple[int, ...]) -> Tensor:
        """An empty uint8 tensor."""
        if get_worker_info() is None:
            return torch.empty(shape, dtype=torch.uint8)
        turn, size = self._taken % len(self._turns), math.prod(shape)
        self._taken += 1
        if len(self._turns[turn]) < size:
            self._turns[turn] = torch.empty(size, dtype=torch.uint8).share_memory_()
        return self._turns[turn][:size].view(shape)


def _why_not(jpeg: memoryview, size: int) -> str:
    """Why a crop cannot be used."""
    import simplejpeg

    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(jpeg)
        if (height, width) != (size, size):
            return f"a crop has {width}×{height} pixels instead of {size}×{size}"
        simplejpeg.decode_jpeg(jpeg, colorspace="RGB")
    except ValueError as error:
        return f"a crop is not a JPEG ({error})"
    return "a crop cannot be decoded"
