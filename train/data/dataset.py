"""Read stored clips as batches of uint8 frames: the torch dataset behind the loader.

A `Request` names a clip and which view of it, `ViewSpec` says what every view contains, a `Batch` is the result.
Frames are chosen by `sampling`; windows, mirroring and colours are only drawn here and applied on the device
(`augment`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl
import torch
from torch import Tensor
from torch.utils.data import Dataset

from dfer.schemas.blendshapes import BLENDSHAPES
from dfer.schemas.face_shards import ShardReader, StoredClip
from dfer.schemas.keypoints import LANDMARKS
from dfer.schemas.support.errors import UserError
from dfer.train.config import TrainConfig
from dfer.train.data.caches import Pool
from dfer.train.data.class_matching import label_ids, target_shares
from dfer.train.data.frame_memory import FrameMemory
from dfer.train.data.sampling import Augmentation, View, evaluation_view, frame_positions


class Request(NamedTuple):
    """A clip to read.

    clip: its number in the dataset
    epoch, sample: which training view; without an epoch, an evaluation view
    view: which evaluation view
    counts: False for a clip that only fills a batch; its label becomes −1
    """

    clip: int
    epoch: int | None = None
    sample: int = 0
    counts: bool = True
    view: int = 0


@dataclass(frozen=True, kw_only=True)
class ViewSpec:
    """What is read of each clip.

    frames: N, frames a clip
    augmentation: for training views; None for evaluation views only
    landmarks: whether to read the 68 points
    expressions: whether to read MediaPipe's expression scores
    votes: whether to train on the shares of votes
    """

    frames: int
    augmentation: Augmentation | None = None
    landmarks: bool = False
    expressions: bool = False
    votes: bool = False


class Batch(NamedTuple):
    """B clips of N frames. Workers send all fields but `frames` as numpy arrays (see `ClipDataset._batch`).

    frames: (B, N, 3, s, s) uint8
    keypoints: (B, N, K, 2) crop pixels
    keypoint_flip: (K,) int64, the key-points' order in a mirrored picture
    labels: (B,) int64, −1 for a clip that does not count
    windows: (B, 2) in [0, 1]
    flips: (B,) bool
    color_jitter: (B, 3) factors of brightness, contrast and saturation
    clips: (B,) int64, their numbers in the dataset
    detected: (B, N) bool, False where no face was found and the crop is at the carried-over place
    landmarks: (B, N, 68, 2) crop pixels; None if not asked for
    expressions: (B, N, 52), NaN where no face was found; None if not asked for
    targets: (B, classes) float32, shares of votes, all 0 for a clip that does not count; None if not asked for
    """

    frames: Tensor
    keypoints: Tensor
    keypoint_flip: Tensor
    labels: Tensor
    windows: Tensor
    flips: Tensor
    color_jitter: Tensor
    clips: Tensor
    detected: Tensor
    landmarks: Tensor | None
    expressions: Tensor | None
    targets: Tensor | None = None

    @property
    def truth(self) -> Tensor:
        """What the loss compares with: the targets, or else the labels."""
        return self.labels if self.targets is None else self.targets

    @property
    def counted(self) -> Tensor:
        """Which clips count in the loss, (B,) bool."""
        return self.labels >= 0 if self.targets is None else self.targets.any(1)

    def to(self, device: torch.device) -> "Batch":
        """Move the batch to a device, except for what the host indexes with: reading that back would stall it."""
        on_host = ("windows", "flips", "clips")
        moved = {
            name: part.to(device, non_blocking=True)
            for name, part in self._asdict().items()
            if part is not None and name not in on_host
        }
        return self._replace(**moved)


class ClipDataset(Dataset):
    """The usable clips of a pool's table, read a batch at a time. Cheap to pickle."""

    def __init__(
        self,
        pool: Pool,
        clips: pl.DataFrame,
        labels: Sequence[int],
        spec: ViewSpec,
        targets: np.ndarray | None = None,
    ) -> None:
        """Make a dataset.

        clips: usable rows of the pool's table; with columns `first_frame` and `end_frame`, a row is the part of a
            clip from the first of these frames to before the second, of those in the cache
        labels: (clips,) class numbers, −1 for none
        targets: (clips, classes) float32, shares of votes
        """
        self._folders = pool.folders
        self._size, self._keypoints = pool.crop_size, pool.keypoints
        self._readers = [ShardReader(folder, self._keypoints.count) for folder in self._folders]
        self._caches = clips["cache"].to_numpy()
        self._stored_ids = clips["stored_id"]
        self._shards = clips["shard"].to_numpy()
        self._rows = clips["row"].to_numpy()
        self._ids = clips["clip_id"]
        self._parts = None
        if "first_frame" in clips.columns:
            self._parts = clips.select("first_frame", "end_frame").to_numpy()
        self.labels = np.asarray(labels, np.int64)
        self.targets = targets
        self._spec = spec
        self._memory = FrameMemory()

    def __len__(self) -> int:
        return len(self._ids)

    def ids(self, clips: Sequence[int]) -> list[str]:
        """Look up the ids of clips by their numbers."""
        return [self._ids[int(clip)] for clip in clips]

    def __getitems__(self, requests: Sequence[Request]) -> Batch | UserError:
        """Read a batch. A UserError is returned, not raised: torch adds a worker's traceback to an exception."""
        try:
            return self._batch(requests)
        except UserError as error:
            return error

    def _batch(self, requests: Sequence[Request]) -> Batch:
        """Read a batch in which only the frames are a tensor.

        A worker sends each tensor through a separate file; the bytes of a small array go faster through the pipe.
        """
        count, frames = len(requests), self._spec.frames
        pixels = self._memory.take((count, frames, self._size, self._size, 3))
        pictures = pixels.numpy()
        keypoints = np.empty((count, frames, self._keypoints.count, 2), np.float32)
        detected = np.empty((count, frames), bool)
        landmarks = expressions = None
        if self._spec.landmarks:
            landmarks = np.empty((count, frames, LANDMARKS, 2), np.float32)
        if self._spec.expressions:
            expressions = np.full((count, frames, len(BLENDSHAPES)), np.nan, np.float32)
        views = [self._view(request) for request in requests]
        # Read everything before decoding: in turns, each would evict the other's data from the processor's caches.
        clips = [self._read(request.clip) for request in requests]
        for place, (request, view, stored) in enumerate(zip(requests, views, clips, strict=True)):
            positions = self._positions(request.clip, len(stored.crops), view.offsets)
            self._decode(stored, positions, pictures[place], request.clip)
            keypoints[place] = stored.keypoints[positions]
            detected[place] = stored.detected[positions]
            if landmarks is not None:
                landmarks[place] = stored.landmarks[positions]
            if expressions is not None and stored.blendshapes is not None:
                expressions[place] = stored.blendshapes[positions]
        labels = [self.labels[request.clip] if request.counts else -1 for request in requests]
        return Batch(
            frames=pixels.permute(0, 1, 4, 2, 3),  # (B, N, 3, s, s), stored as (B, N, s, s, 3)
            keypoints=keypoints,
            keypoint_flip=np.array(self._keypoints.flip),
            labels=np.array(labels),
            windows=np.array([view.window for view in views]),
            flips=np.array([view.flip for view in views]),
            color_jitter=np.array([view.color_jitter for view in views], np.float32),
            clips=np.array([request.clip for request in requests]),
            detected=detected,
            landmarks=landmarks,
            expressions=expressions,
            targets=None if self.targets is None else self._targets(requests),
        )

    def _positions(self, clip: int, kept: int, offsets: np.ndarray) -> np.ndarray:
        """Which of a clip's `kept` frames to take, or of a part of them."""
        first, end = (0, kept) if self._parts is None else self._parts[clip]
        return first + frame_positions(end - first, offsets)

    def _targets(self, requests: Sequence[Request]) -> np.ndarray:
        counts = np.array([request.counts for request in requests], np.float32)
        return self.targets[[request.clip for request in requests]] * counts[:, None]

    def _view(self, request: Request) -> View:
        if request.epoch is None or self._spec.augmentation is None:
            return evaluation_view(self._spec.frames, request.view)
        return self._spec.augmentation.view(request.epoch, request.sample)

    def _read(self, clip: int) -> StoredClip:
        place = int(self._shards[clip]), int(self._rows[clip])
        return self._readers[self._caches[clip]].read(*place, self._stored_ids[clip])

    def _decode(self, stored: StoredClip, positions: np.ndarray, out: np.ndarray, clip: int) -> None:
        """Decode the JPEGs at `positions` (N,) into out (N, s, s, 3), repeated frames once."""
        import simplejpeg

        for place, position in enumerate(positions):
            if place and position == positions[place - 1]:
                out[place] = out[place - 1]
                continue
            try:
                decoded = simplejpeg.decode_jpeg(stored.crops[position], colorspace="RGB", buffer=out[place])
                fits = decoded.shape == out.shape[1:]
            except ValueError:
                fits = False
            if not fits:
                reason = _why_not(stored.crops[position], self._size)
                where = f"{self._folders[self._caches[clip]]}, clip {self._stored_ids[clip]}"
                raise UserError(f"{where}: {reason}; make this cache again")


def clip_dataset(pool: Pool, clips: pl.DataFrame, labels: Sequence[str], spec: ViewSpec) -> ClipDataset:
    """Make a dataset of usable clips of a pool's table.

    labels: the network's class names, in order

    Raises UserError for a label that is not among them, or if a cache lacks the expression scores asked for.
    """
    if spec.expressions:
        pool.require_expressions()
    targets = target_shares(clips, labels) if spec.votes else None
    return ClipDataset(pool, clips, label_ids(clips, labels), spec, targets)


def view_spec(config: TrainConfig, augmentation: Augmentation | None = None) -> ViewSpec:
    """What a network with these settings reads of a clip."""
    return ViewSpec(
        frames=config.data.num_frames,
        augmentation=augmentation,
        landmarks=config.network.takes_landmarks,
        expressions=config.network.takes_expressions,
        votes=config.recipe.soft_labels and augmentation is not None,
    )


def in_batches(clips: Sequence[int], batch_size: int, view: int = 0) -> Iterator[list[Request]]:
    """Plan batches of an evaluation view of these clips, in this order."""
    for start in range(0, len(clips), batch_size):
        yield [Request(int(clip), view=view) for clip in clips[start : start + batch_size]]


def _why_not(jpeg: memoryview, size: int) -> str:
    """Say why a crop cannot be used."""
    import simplejpeg

    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(jpeg)
        if (height, width) != (size, size):
            return f"a crop has {width}×{height} pixels instead of {size}×{size}"
        simplejpeg.decode_jpeg(jpeg, colorspace="RGB")
    except ValueError as error:
        return f"a crop is not a JPEG ({error})"
    return "a crop cannot be decoded"
