"""What is kept of a training: written whole or not at all, read without running any code in it."""

import errno
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from dfer.schemas.keypoints import KEYPOINT_SETS
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.files import atomic_file
from dfer.train.config import TrainConfig, config_from
from dfer.train.models.keypoint.network import DferNetwork, build
from dfer.train.results.logs import EpochRow, row_from

FAMILY = "dfer-keypoints checkpoint"
KIND = f"{FAMILY} 2"


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A network, and all that its training needs to go on.

    keypoint_set: name of the key-points that the network takes (`KEYPOINT_SETS`).
    labels: class names in the order of the network's outputs; majority: the training set's most frequent.
    epoch, consumed: epochs done, and samples done of the next; where the order of clips and the step size stand is
    a function of these alone.
    model: the weights that predict; state: what the training keeps beside them, empty in one only to predict with.
    rows: the figures of the epochs done; origin: cache, split and versions, as run.json has them.
    trained_on: the fingerprints of the files that the weights were trained on, those of their start included.
    """

    config: TrainConfig
    keypoint_set: str
    labels: tuple[str, ...]
    majority: str
    epoch: int
    consumed: int
    model: Mapping[str, torch.Tensor]
    state: Mapping[str, Any]
    rows: Sequence[EpochRow] = ()
    origin: Mapping[str, Any] = field(default_factory=dict)
    trained_on: Sequence[str] = ()


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; an older one under the name stays until the new one is on the disk."""
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
        except RuntimeError as error:  # torch hides what the system said of a failed write
            if "inline_container" not in str(error):
                raise
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from None


def load(path: Path) -> Checkpoint:
    """Read a checkpoint to the CPU.

    Raises UserError where it is missing, damaged or something else.
    """
    try:
        check_sums(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"no checkpoint {path}: the run was not started or saved nothing yet") from None
    except UserError:
        raise
    except Exception as error:  # torch raises many kinds for a damaged file
        raise UserError(f"{path} is damaged or no checkpoint ({type(error).__name__})") from None
    kind = content.get("kind") if isinstance(content, dict) else None
    if kind != KIND:
        found = f"it is {kind!r}" if isinstance(kind, str) else "it is something else"
        raise UserError(f"{path} is not a checkpoint of this program (wanted: {KIND}; {found})")
    try:
        content.setdefault("trained_on", [])  # one from before it was kept
        fields = {name: content[name] for name in Checkpoint.__dataclass_fields__}
        fields["config"] = config_from(content["config"], {}, origin=str(path))
        fields["labels"] = tuple(content["labels"])
        fields["rows"] = tuple(map(row_from, content["rows"]))
        fields["trained_on"] = tuple(content["trained_on"])
        _check_kinds(fields)
        return Checkpoint(**fields)
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError, RecursionError) as error:
        raise UserError(f"{path} is damaged: its content is not a checkpoint's ({error})") from None


def check_sums(path: Path) -> None:
    """Compare the checksums in a file of torch.save, which torch itself does not.

    Raises UserError where they do not hold, OSError and zipfile.BadZipFile where there is no such file.
    """
    with zipfile.ZipFile(path) as archive:
        if archive.testzip():
            raise UserError(f"{path} is damaged: its content does not match its checksums")


def _check_kinds(fields: Mapping[str, Any]) -> None:
    """Raise TypeError for what is not of its kind: a checkpoint may come from a stranger."""
    kinds = {
        "keypoint_set": str,
        "majority": str,
        "epoch": int,
        "consumed": int,
        "model": Mapping,
        "state": Mapping,
        "origin": Mapping,
    }
    for name, kind in kinds.items():
        if not isinstance(fields[name], kind):
            raise TypeError(f"{name} is of another kind")
    for name in ("labels", "trained_on"):
        if not all(isinstance(text, str) for text in fields[name]):
            raise TypeError(f"{name} are of another kind")
    json.dumps(fields["origin"], sort_keys=True)  # as files that follow from it will say it
    if fields["majority"] not in fields["labels"]:
        raise ValueError("the most frequent class is none of its classes")


def restore(checkpoint: Checkpoint) -> DferNetwork:
    """The checkpoint's network, on the CPU, ready to predict. Raises UserError where its weights do not fit."""
    config = checkpoint.config
    if checkpoint.keypoint_set not in KEYPOINT_SETS:
        raise UserError(
            f"the checkpoint's key-point set {checkpoint.keypoint_set} is unknown to this version"
        )
    keypoints = KEYPOINT_SETS[checkpoint.keypoint_set]
    network = build(
        config.network, len(checkpoint.labels), config.data.num_frames, config.recipe.seed, keypoints
    )
    try:
        network.load_state_dict(checkpoint.model)
    except (RuntimeError, TypeError, AttributeError):
        raise UserError("the checkpoint is damaged: its weights are not those of its settings") from None
    if not all(torch.isfinite(value).all() for value in network.state_dict().values()):
        raise UserError("the checkpoint is damaged: its weights are not all numbers")
    return network.eval()
