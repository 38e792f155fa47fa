"""Stored clips to batches of uint8 frames: JPEG decoding, in worker processes where that pays."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from schemas.errors import UserError
from schemas.face_shards import ShardReader
from train.sampling import View, frame_positions


class Batch(NamedTuple):
    """frames (B, N, 3, s, s) uint8, keypoints (B, N, 18, 2) crop pixels, labels (B,) int64 (−1: none),
    windows (B, 2), flips (B,) bool, clips (B,) their numbers in the dataset."""

    frames: Tensor
    keypoints: Tensor
    labels: Tensor
    windows: Tensor
    flips: Tensor
    clips: Tensor

    def to(self, device: torch.device) -> "Batch":
        return Batch(*(part.to(device, non_blocking=True) for part in self))


@dataclass(frozen=True, kw_only=True)
class Request:
    """One clip to be read, by its number, and how it is to be seen."""

    clip: int
    view: View


class ClipDataset(Dataset):
    """The usable clips of a table, read on request. labels: the class of each as a number, −1 for none."""

    def __init__(self, folder: Path, clips: pl.DataFrame, labels: Sequence[int], crop_size: int) -> None:
        self._reader = ShardReader(folder)
        self._folder = folder
        self._shards = clips["shard"].to_numpy()
        self._rows = clips["row"].to_numpy()
        self._ids = clips["clip_id"].to_list()
        self._labels = np.asarray(labels, np.int64)
        self._size = crop_size

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, request: Request) -> tuple:
        clip, view = request.clip, request.view
        stored = self._reader.read(int(self._shards[clip]), int(self._rows[clip]), self._ids[clip])
        positions = frame_positions(len(stored.crops), view.offsets)
        # A clip shorter than N repeats frames: each JPEG is decoded once.
        distinct, places = np.unique(positions, return_inverse=True)
        decoded = np.stack([self._decode(stored.crops[p], clip) for p in distinct])
        frames = torch.from_numpy(decoded[places]).permute(0, 3, 1, 2)  # (N, 3, s, s)
        keypoints = torch.from_numpy(stored.keypoints[positions])
        return frames, keypoints, self._labels[clip], view.window, view.flip, clip

    def _decode(self, jpeg: memoryview, clip: int) -> np.ndarray:
        import simplejpeg

        try:
            height, width, *_ = simplejpeg.decode_jpeg_header(jpeg)
            if (height, width) == (self._size, self._size):
                return simplejpeg.decode_jpeg(jpeg, colorspace="RGB")
            reason = f"a crop has {width}×{height} pixels instead of {self._size}×{self._size}"
        except ValueError as error:
            reason = f"a crop is not a JPEG ({error})"
        raise UserError(f"{self._folder}, clip {self._ids[clip]}: {reason}; make this cache again")


class _Batches:
    """A batch sampler: the requests of whatever epoch is set, `batch_size` at a time."""

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size
        self.requests: Sequence[Request] = ()

    def __iter__(self) -> Iterator[list[Request]]:
        for start in range(0, len(self.requests), self.batch_size):
            yield list(self.requests[start : start + self.batch_size])

    def __len__(self) -> int:
        return -(-len(self.requests) // self.batch_size)


class Loader:
    """Batches of a dataset, epoch after epoch, by the same worker processes (0: in this process)."""

    def __init__(self, dataset: ClipDataset, batch_size: int, workers: int, device: torch.device) -> None:
        self._batches = _Batches(batch_size)
        self._loader = DataLoader(
            dataset,
            batch_sampler=self._batches,
            num_workers=workers,
            collate_fn=_collate,
            persistent_workers=workers > 0,
            # Forking a process that runs threads (polars, torch) can hang the child.
            multiprocessing_context="spawn" if workers else None,
            pin_memory=device.type == "cuda",
        )

    def epoch(self, clips: Sequence[int], view: Callable[[int], View]) -> Iterator[Batch]:
        """The batches of these clips, in this order, each seen as `view(clip)` says."""
        self._batches.requests = [Request(clip=int(clip), view=view(int(clip))) for clip in clips]
        yield from self._loader


def _collate(items: list[tuple]) -> Batch:
    frames, keypoints, labels, windows, flips, clips = zip(*items, strict=True)
    return Batch(
        frames=torch.stack(frames),
        keypoints=torch.stack(keypoints),
        labels=torch.tensor(np.array(labels)),
        windows=torch.tensor(windows, dtype=torch.float64),
        flips=torch.tensor(flips),
        clips=torch.tensor(clips),
    )
