"""The network of a run as a `Model`. It imports torch, as only `shared_frames` also does."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch

from dfer.schemas.keypoints import KEYPOINT_SETS, KeypointSet
from dfer.schemas.support.errors import UserError
from dfer.train.data.caches import Pool
from dfer.train.data.dataset import Batch
from dfer.train.data.loader import worker_deaths_explained
from dfer.train.data.sampling import evaluation_view, frame_positions
from dfer.train.engine import checkpoint
from dfer.train.engine.device import choose_device
from dfer.train.engine.forward import batch_size, predict_clips, refuse_nan, scores_of
from dfer.train.results.run_folder import require_run
from dfer.train.use.over_time.shared_frames import predict_windows, works_by_frame

if TYPE_CHECKING:
    from dfer.pipeline.live.follow import LiveFace


class Network:
    """The network of a run after its last or best epoch."""

    needs_faces = True

    def __init__(self, run: Path, which: str = "last", device: str = "auto", loader_workers: int = 0) -> None:
        """Load a run's network.

        which: `last` or `best`, the epoch
        device: as `choose_device` takes it
        loader_workers: processes that decode JPEGs

        Raises UserError if there is no such run, or it is damaged.
        """
        if not run.is_dir():
            raise UserError(f"no such run: {run}; make it with `train run CACHE --out {run}`")
        require_run(run)
        self._saved = checkpoint.load(run / f"{which}.pt")
        self._device, self._workers = choose_device(device), loader_workers
        self._network = checkpoint.restore(self._saved).to(self._device)
        self.name, self.labels = str(run), self._saved.labels
        self.keypoints = KEYPOINT_SETS[self._saved.keypoint_set]
        self.num_frames = self._saved.config.data.num_frames
        self.extraction = _first_of(self._saved.origin.get("extraction"))

    @worker_deaths_explained()
    def probabilities(self, pool: Pool, clips: pl.DataFrame, on_done: Callable[[int], None]) -> np.ndarray:
        """As `Model.probabilities`."""
        config, common = self._saved.config, (self._network, pool, clips, self._saved.config, self._device)
        if "first_frame" in clips.columns and works_by_frame(self._network):
            found = predict_windows(*common, self._workers, on_done)
        else:
            report = _by_batch(len(clips), batch_size(config), on_done)
            found = predict_clips(*common, loader_workers=self._workers, on_batch=report)
        refuse_nan(found)
        return found

    @torch.inference_mode()
    def probabilities_of(self, faces: Sequence["LiveFace"]) -> np.ndarray:
        """As `Model.probabilities_of`."""
        network, config = self._network.eval(), self._saved.config
        batch = _stream_batch(faces, self.keypoints, self.num_frames).to(self._device)
        found = scores_of(network, batch, config, self._device).clip.float().softmax(1).cpu().numpy()
        refuse_nan(found)
        return found[0].astype(float)


def _stream_batch(faces: Sequence["LiveFace"], keypoints: KeypointSet, frames: int) -> Batch:
    """The faces of a stream as a batch of one clip, as evaluation reads it from a cache."""
    chosen = [faces[place] for place in frame_positions(len(faces), evaluation_view(frames).offsets)]

    def of(name: str) -> torch.Tensor | None:
        values = [getattr(face, name) for face in chosen]
        return None if values[0] is None else torch.from_numpy(np.stack(values)[None].astype(np.float32))

    return Batch(
        frames=torch.from_numpy(np.stack([face.crop for face in chosen])[None]).permute(0, 1, 4, 2, 3),
        keypoints=of("crop_keypoints"),
        keypoint_flip=torch.tensor(keypoints.flip),
        labels=torch.tensor([-1]),
        windows=torch.full((1, 2), 0.5),
        flips=torch.zeros(1, dtype=torch.bool),
        color_jitter=torch.ones(1, 3),
        clips=torch.zeros(1, dtype=torch.long),
        detected=torch.ones((1, frames), dtype=torch.bool),
        landmarks=of("crop_landmarks"),
        expressions=of("blendshapes"),
    )


def _by_batch(clips: int, size: int, on_done: Callable[[int], None]) -> Callable[[], None]:
    """A function for after each batch, which tells how many clips it had."""
    left = clips

    def on_batch() -> None:
        nonlocal left
        done = min(left, size)
        left -= done
        on_done(done)

    return on_batch


def _first_of(extraction: object) -> Mapping[str, Any] | None:
    """The settings of the first of a run's caches; None in a run of an earlier version."""
    first = extraction[0] if isinstance(extraction, list) and extraction else None
    return first if isinstance(first, Mapping) else None
