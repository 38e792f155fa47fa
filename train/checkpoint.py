"""What is kept of a training: written whole or not at all, read without running any code in it."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from schemas.errors import UserError
from schemas.files import write_atomic
from train.config import TrainConfig, config_from
from train.model.network import DferNetwork, build

KIND = "dfer-keypoints checkpoint 1"


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A network at the end of an epoch.

    labels: class names in the order of the network's outputs; majority: the training set's most frequent.
    state: whatever the training loop keeps beside the model (optimiser, scheduler).
    """

    config: TrainConfig
    labels: tuple[str, ...]
    majority: str
    epoch: int
    model: Mapping[str, torch.Tensor]
    state: Mapping[str, Any]


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; an older one under the name stays until the new one is on the disk."""
    content = {
        "kind": KIND,
        "config": checkpoint.config.to_dict(),
        "labels": list(checkpoint.labels),
        "majority": checkpoint.majority,
        "epoch": checkpoint.epoch,
        "model": dict(checkpoint.model),
        "state": dict(checkpoint.state),
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_atomic(path, buffer.getvalue())


def load(path: Path) -> Checkpoint:
    """Read a checkpoint to the CPU.

    Raises UserError where it is missing, damaged or something else.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(
            f"no checkpoint {path}: the run was not started or its first epoch did not end"
        ) from None
    except Exception as error:  # torch raises many kinds for a damaged file
        raise UserError(f"{path} is damaged or no checkpoint ({type(error).__name__})") from None
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise UserError(f"{path} is not a checkpoint of this program (wanted: {KIND})")
    try:
        return Checkpoint(
            config=config_from(content["config"], {}, origin=str(path)),
            labels=tuple(content["labels"]),
            majority=content["majority"],
            epoch=content["epoch"],
            model=content["model"],
            state=content["state"],
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is damaged: its content is not a checkpoint's ({error})") from None


def restore(checkpoint: Checkpoint) -> DferNetwork:
    """The checkpoint's network, on the CPU, ready to predict. Raises UserError where its weights do not fit."""
    config = checkpoint.config
    network = build(config.network, len(checkpoint.labels), config.data.num_frames, config.recipe.seed)
    try:
        network.load_state_dict(checkpoint.model)
    except (RuntimeError, TypeError, AttributeError):
        raise UserError("the checkpoint is damaged: its weights are not those of its settings") from None
    return network.eval()
