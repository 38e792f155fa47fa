"""`dfer.train.LandmarkDataset`: the clips of landmark caches as a plain torch dataset, for other training loops."""

import os
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import torch
from torch import Tensor
from torch.utils.data import Dataset

from dfer.schemas.support.errors import UserError
from dfer.train.data.caches import Pool, open_pool, usable
from dfer.train.data.dataset import Request, ViewSpec, clip_dataset
from dfer.train.data.sampling import Augmentation
from dfer.train.data.splits import SplitChoice, choose_split

PARTS = ("train", "test")
DRAWS = 2**62  # different choices of frames


class LandmarkDataset(Dataset):
    """Clips of one or several caches, N frames each; it works with any `torch.utils.data.DataLoader`.

    clips: a row a clip: its id, label, subject and the other columns of the cache's table (polars)
    labels: the class names; an item's label is a place among them
    keypoints: the key-point set: its names, edges, regions, and the order in a mirrored picture
    """

    def __init__(
        self,
        cache: str | os.PathLike | Sequence[str | os.PathLike],
        *,
        split: str | None = None,
        fold: int | None = None,
        holdout: float = 0.0,
        seed: int = 0,
        num_frames: int = 16,
        random_frames: bool = False,
    ) -> None:
        """Open caches. Unusable clips (no face, undecodable) are left out.

        cache: the folder of a cache, or several folders
        split: `train` or `test`, the same clips as in `train run` with the same fold, holdout and seed; another
            name, such as `val`, for the clips that the dataset itself has in that split; None: all clips
        fold: the dataset's fold to test on
        holdout: share of subjects (or clips) to test on where the cache has no split, 0–0.9
        num_frames: N
        random_frames: draw each frame from its N-th of the clip with torch's random numbers, as training does;
            otherwise take the middle of each N-th

        Raises UserError for a folder that is not a cache, and a split or fold that it does not have.
        """
        folders = [cache] if isinstance(cache, str | os.PathLike) else cache
        pool = open_pool(*(Path(folder) for folder in folders))
        chosen = pool.clips if split is None else _part(pool, split, fold, holdout, seed)
        self.clips, self.labels, self.keypoints = usable(chosen), pool.labels, pool.keypoints
        self._random = random_frames
        spec = ViewSpec(
            frames=num_frames,
            augmentation=Augmentation(seed=seed, frames=num_frames, flip=False),
            landmarks=True,
            expressions=not pool.without_expressions,
        )
        self._clips = clip_dataset(pool, self.clips, self.labels, spec)

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, number: int) -> dict[str, Tensor | str]:
        """Read a clip.

        Returns a dictionary:
            clip: its id
            label: () int64, −1 for none
            frames: (N, 3, s, s) uint8, the aligned crops of the face, RGB
            keypoints: (N, K, 2) float32, crop pixels
            landmarks: (N, 68, 2) float32, crop pixels
            detected: (N,) bool, False where no face was found and the crop is at the carried-over place
            expressions: (N, 52) float32, MediaPipe's expression scores, 0–1, NaN where no face was found; only if
                all caches have them

        Raises UserError if the cache is damaged.
        """
        if not -len(self) <= number < len(self):
            raise IndexError(f"clip {number} of {len(self)}")
        clip = number % len(self)
        draw = int(torch.randint(DRAWS, ())) if self._random else 0
        batch = self._clips.__getitems__([Request(clip, epoch=0 if self._random else None, sample=draw)])
        if isinstance(batch, UserError):
            raise batch
        # A worker process reuses the memory of its batches, which a user's loader may still need.
        item = {"clip": self.clips["clip_id"][clip], "label": torch.tensor(int(batch.labels[0]))}
        item["frames"] = batch.frames[0].clone(memory_format=torch.contiguous_format)
        for name in ("keypoints", "landmarks", "detected", "expressions"):
            if (values := getattr(batch, name)) is not None:
                item[name] = torch.from_numpy(values[0])
        return item


def _part(pool: Pool, split: str, fold: int | None, holdout: float, seed: int) -> pl.DataFrame:
    """The rows of a pool's table in a split. Raises UserError."""
    clips, where = pool.clips, pool.where
    if split not in PARTS:
        found = clips.filter(pl.col("split") == split)
        if found.is_empty():
            known = ", ".join(clips["split"].drop_nulls().unique().sort()) or "none"
            raise UserError(f"split {split!r}: no clip is in it; splits of {where}: {known}")
        return found
    chosen = choose_split(clips, SplitChoice(fold=fold, holdout=holdout), seed, where=where)
    if chosen.seen:
        raise UserError(f"split {split!r}: no split in {where}; give a holdout, such as 0.2, or no split")
    return chosen.train if split == "train" else chosen.test
