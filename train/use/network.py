"""A network as a `Model`. It imports torch, as `shared_frames` and `exported` also do."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch
from torch import nn

from dfer.schemas.keypoints import KEYPOINT_SETS, KeypointSet
from dfer.train.config import TrainConfig
from dfer.train.data.caches import Pool
from dfer.train.data.dataset import Batch
from dfer.train.data.loader import worker_deaths_explained
from dfer.train.data.sampling import evaluation_view, frame_positions
from dfer.train.engine import checkpoint
from dfer.train.engine.device import choose_device
from dfer.train.engine.forward import batch_size, predict_clips, refuse_nan, scores_of
from dfer.train.results.run_folder import require_trained
from dfer.train.use.over_time.shared_frames import predict_windows, works_by_frame

if TYPE_CHECKING:
    from dfer.pipeline.live.follow import LiveFace


RUN_OR_FILE = "the folder of a run, or an .onnx file of `train export`"


@dataclass(frozen=True, kw_only=True)
class NetworkModel:
    """A model that computes with a network, or with an exported file in its place.

    name, labels, keypoints, extraction: as in `Model`
    network: on `device`, takes a NetworkInput and gives Scores
    config: the settings that it was trained with
    loader_workers: processes that decode JPEGs
    """

    name: str
    labels: tuple[str, ...]
    keypoints: KeypointSet
    extraction: Mapping[str, Any] | None
    network: nn.Module
    config: TrainConfig
    device: torch.device
    loader_workers: int

    needs_faces = True

    @property
    def num_frames(self) -> int:
        return self.config.data.num_frames

    @worker_deaths_explained()
    def probabilities(self, pool: Pool, clips: pl.DataFrame, on_done: Callable[[int], None]) -> np.ndarray:
        """As `Model.probabilities`."""
        common = (self.network, pool, clips, self.config, self.device)
        if "first_frame" in clips.columns and works_by_frame(self.network):
            found = predict_windows(*common, self.loader_workers, on_done)
        else:
            report = _by_batch(len(clips), batch_size(self.config), on_done)
            found = predict_clips(*common, loader_workers=self.loader_workers, on_batch=report)
        refuse_nan(found)
        return found

    @torch.inference_mode()
    def probabilities_of(self, faces: Sequence["LiveFace"]) -> np.ndarray:
        """As `Model.probabilities_of`."""
        batch = _stream_batch(faces, self.keypoints, self.num_frames).to(self.device)
        scores = scores_of(self.network.eval(), batch, self.config, self.device).clip
        found = scores.float().softmax(1).cpu().numpy()
        refuse_nan(found)
        return found[0].astype(float)


def run_network(run: Path, which: str, device: str, loader_workers: int) -> NetworkModel:
    """Load a run's network.

    which: `last` or `best`, the epoch
    device: as `choose_device` takes it
    loader_workers: processes that decode JPEGs

    Raises UserError if there is no such run, or it is damaged.
    """
    require_trained(run, RUN_OR_FILE)
    saved, chosen = checkpoint.load(run / f"{which}.pt"), choose_device(device)
    return NetworkModel(
        name=str(run),
        labels=saved.labels,
        keypoints=KEYPOINT_SETS[saved.keypoint_set],
        extraction=extraction_of(saved),
        network=checkpoint.restore(saved).to(chosen),
        config=saved.config,
        device=chosen,
        loader_workers=loader_workers,
    )


def extraction_of(saved: checkpoint.Checkpoint) -> Mapping[str, Any] | None:
    """The settings that the clips of a run's first cache were extracted with; None if they are unknown."""
    extraction = saved.origin.get("extraction")
    first = extraction[0] if isinstance(extraction, list) and extraction else None
    return first if isinstance(first, Mapping) else None


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
