"""Save and load a training: written atomically, read without running any code in the file."""

import errno
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dfer.schemas.keypoints import KEYPOINT_SETS
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.files import atomic_file
from dfer.train.config import TrainConfig, config_from
from dfer.train.engine.objective import prediction_shift
from dfer.train.models.interface import ClipNetwork
from dfer.train.models.registry import build, require_same_code
from dfer.train.results.logs import EpochRow, row_from

FAMILY = "dfer-keypoints checkpoint"
FORMAT = 4
KIND = f"{FAMILY} {FORMAT}"
TYPES = {
    "keypoint_set": str,
    "majority": str,
    "epoch": int,
    "consumed": int,
    "model": Mapping,
    "state": Mapping,
    "origin": Mapping,
}


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A network and everything needed to resume its training.

    keypoint_set: name of the key-points that the network takes (`KEYPOINT_SETS`)
    labels: class names, in the order of the network's outputs
    majority: the most frequent class of the training set
    epoch, consumed: epochs done, and samples done of the next; the order of clips and the learning rate follow
    model: the weights to predict with
    state: `Learner.state` and the training's own; empty if only for prediction
    rows: the figures of each epoch done
    origin: cache, split and versions, as in run.json
    trained_on: fingerprints of all files that the weights were trained on, including before this run
    """

    config: TrainConfig
    keypoint_set: str
    labels: tuple[str, ...]
    majority: str
    epoch: int
    consumed: int
    model: Mapping[str, Tensor]
    state: Mapping[str, Any]
    rows: Sequence[EpochRow] = ()
    origin: Mapping[str, Any] = field(default_factory=dict)
    trained_on: Sequence[str] = ()


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint atomically: an existing one stays until the new one is on the disk."""
    content = {
        "kind": KIND,
        **vars(checkpoint),
        "config": checkpoint.config.to_dict(),
        "labels": list(checkpoint.labels),
        "model": dict(checkpoint.model),
        "rows": [asdict(row) for row in checkpoint.rows],
        "trained_on": list(checkpoint.trained_on),
    }
    with atomic_file(path) as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:  # torch hides the system's error when a write fails
            if "inline_container" not in str(error):
                raise
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from None


def load(path: Path) -> Checkpoint:
    """Read a checkpoint to the CPU.

    Raises UserError if it is missing, damaged or something else.
    """
    try:
        check_sums(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"no checkpoint {path}: the run has not started, or not saved yet") from None
    except UserError:
        raise
    except Exception as error:  # torch raises many kinds for a damaged file
        raise UserError(f"{path} is damaged or not a checkpoint ({type(error).__name__})") from None
    kind = content.get("kind") if isinstance(content, dict) else None
    if kind != KIND:
        if not isinstance(kind, str) or not kind.startswith(f"{FAMILY} "):
            raise UserError(f"{path} is not a checkpoint of this program")
        found = kind.removeprefix(f"{FAMILY} ")
        raise UserError(
            f"{path} has checkpoint format {found}, this version reads {FORMAT}; use the version that wrote it, "
            "or train again"
        )
    try:
        fields = {name: content[name] for name in Checkpoint.__dataclass_fields__}
        require_same_code(content["config"]["model"], content["origin"].get("model_version"))
        fields["config"] = config_from(content["config"], {}, origin=str(path))
        fields["labels"] = tuple(content["labels"])
        fields["rows"] = tuple(map(row_from, content["rows"]))
        fields["trained_on"] = tuple(content["trained_on"])
        _check_types(fields)
        return Checkpoint(**fields)
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise UserError(f"{path} is damaged: missing or invalid content ({error})") from None


def check_sums(path: Path) -> None:
    """Check a torch.save file against its checksums, which torch itself does not do.

    Raises UserError if they differ, OSError or zipfile.BadZipFile if it is missing or another kind of file.
    """
    with zipfile.ZipFile(path) as archive:
        if archive.testzip():
            raise UserError(f"{path} is damaged: checksums do not match")


def restore(checkpoint: Checkpoint) -> ClipNetwork:
    """Build a checkpoint's network on the CPU, ready to predict. Raises UserError if the weights do not fit."""
    config = checkpoint.config
    if checkpoint.keypoint_set not in KEYPOINT_SETS:
        raise UserError(
            f"the checkpoint has the unknown key-point set {checkpoint.keypoint_set}; update dfer-keypoints"
        )
    labels, keypoints = checkpoint.labels, KEYPOINT_SETS[checkpoint.keypoint_set]
    task = config.task(len(labels), keypoints, labels)
    network = build(config.model, config.network, task, config.recipe.seed)
    network.class_shift = prediction_shift(config.recipe, np.ones(network.classes))
    try:
        network.load_state_dict(checkpoint.model)
    except (RuntimeError, TypeError, AttributeError):
        raise UserError("the checkpoint is damaged: its weights do not fit its settings") from None
    if not all(torch.isfinite(value).all() for value in network.state_dict().values()):
        raise UserError("the checkpoint is damaged: its weights contain NaN or Inf")
    return network.eval()


def _check_types(fields: Mapping[str, Any]) -> None:
    """Raise TypeError or ValueError for a wrong type or value: a checkpoint may come from someone else."""
    for name, kind in TYPES.items():
        if not isinstance(fields[name], kind):
            raise TypeError(f"{name} has the wrong type")
    for name in ("labels", "trained_on"):
        if not all(isinstance(text, str) for text in fields[name]):
            raise TypeError(f"{name} have the wrong type")
    json.dumps(fields["origin"], sort_keys=True)  # it is written to files as JSON later
    if fields["majority"] not in fields["labels"]:
        raise ValueError("the most frequent class is not one of the classes")
