"""Windows that share frames: what a network computes of single frames is computed once for all of them."""

from collections.abc import Callable, Iterator

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn

from dfer.train.config import TrainConfig
from dfer.train.data.caches import Pool
from dfer.train.data.dataset import clip_dataset, in_batches, view_spec
from dfer.train.data.loader import Loader
from dfer.train.data.sampling import evaluation_view, frame_positions
from dfer.train.engine.forward import batch_size, network_input
from dfer.train.engine.precision import autocast
from dfer.train.models.interface import ClipNetwork

AT_ONCE = 256  # windows; the vectors of their frames are small


def works_by_frame(network: nn.Module) -> bool:
    """Whether a network has frame vectors that windows can share; an exported file has none."""
    return isinstance(network, ClipNetwork) and type(network).frame_vectors is not ClipNetwork.frame_vectors


@torch.inference_mode()
def predict_windows(
    network: ClipNetwork,
    pool: Pool,
    windows: pl.DataFrame,
    config: TrainConfig,
    device: torch.device,
    loader_workers: int,
    on_done: Callable[[int], None],
) -> np.ndarray:
    """Predict windows with a network that works frame by frame; the answers are those of `predict_clips`.

    windows: rows of `window_rows`, those of a clip one after the other
    on_done: called with the number of windows just predicted

    Returns class probabilities (windows, classes) float64. Raises UserError for a damaged clip, or if the pool lacks
    expression scores that the network needs.
    """
    network.eval()
    parts = [np.zeros((0, network.classes))]
    for of_clip in windows.partition_by("cache", "stored_id", maintain_order=True):
        *vectors, detected = _of_frames(network, pool, of_clip, config, device, loader_workers, on_done)
        offsets = evaluation_view(config.data.num_frames).offsets
        places = of_clip.select("first_frame", "end_frame").to_numpy() - of_clip["first_frame"].min()
        taken = np.stack([first + frame_positions(end - first, offsets) for first, end in places])  # (W, N)
        for rows in torch.from_numpy(taken).to(device).split(AT_ONCE):
            with autocast(config.execution.precision, device):
                clip = network.scores_of_frames(tuple(v[rows] for v in vectors), detected[rows]).clip
            shifted = clip if network.class_shift is None else clip + network.class_shift
            parts.append(shifted.float().softmax(1).cpu().numpy().astype(float))
    return np.concatenate(parts)


def _of_frames(
    network: ClipNetwork,
    pool: Pool,
    windows: pl.DataFrame,
    config: TrainConfig,
    device: torch.device,
    loader_workers: int,
    on_done: Callable[[int], None],
) -> list[Tensor]:
    """The vectors of the frames from a clip's first window to its last, each (m, …), and which faces were found.

    on_done: told of the windows as the frames get done, which take nearly all of the time
    """
    first, end, n = windows["first_frame"].min(), windows["end_frame"].max(), config.data.num_frames
    starts = np.arange(first, end, n)
    ends = np.minimum(starts + n, end)
    chunks = windows[np.zeros(len(starts), int)].with_columns(
        label=pl.lit(None, pl.String), first_frame=pl.Series(starts), end_frame=pl.Series(ends)
    )
    dataset = clip_dataset(pool, chunks, (), view_spec(config))
    loader = Loader(dataset, loader_workers, device)
    plan = [*in_batches(range(len(chunks)), batch_size(config))]
    found = []
    for number, batch in enumerate(loader.batches(plan)):
        found.append([*_batch(network, batch.to(device), config, device)])
        on_done(len(windows) * (number + 1) // len(plan) - len(windows) * number // len(plan))
    # A chunk has n frames; the last one repeats some if it is shorter.
    offsets = evaluation_view(n).offsets
    places = np.concatenate(
        [a - first + frame_positions(b - a, offsets) for a, b in zip(starts, ends, strict=True)]
    )
    _, once = np.unique(places, return_index=True)
    chosen = torch.from_numpy(once).to(device)
    return [torch.cat(parts).flatten(0, 1)[chosen] for parts in zip(*found, strict=True)]


def _batch(network: ClipNetwork, batch, config: TrainConfig, device: torch.device) -> Iterator[Tensor]:
    with autocast(config.execution.precision, device):
        yield from network.frame_vectors(network_input(batch, config.data))
    yield batch.detected
