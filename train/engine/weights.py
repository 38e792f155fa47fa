"""Initialise a network from given weights: another run's, or a ResNet-18's from elsewhere.

Everything that fits by name and shape is taken. The classifiers' rows follow the meaning of their labels ("Happy" is
"happiness"), so a run with other classes, or the same in another order, starts from those it shares. What was not
taken is reported.
"""

import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from dfer.data_manifest.labels import match_labels
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.settings import flag
from dfer.schemas.support.text import counted
from dfer.train.engine import checkpoint
from dfer.train.models.interface import ClipNetwork
from dfer.train.models.resnet import ResNet18
from dfer.train.results.run_folder import BEST, require_run

ADJUSTMENT = (
    "class_shift"  # set from the training clips of the other run, see `RecipeConfig.logit_adjustment`
)
WRAPPERS = ("state_dict", "model")  # keys under which training scripts save a state dict
COUNTER = ".num_batches_tracked"  # of batch norm; not needed to predict, and missing from older files


@dataclass(frozen=True, kw_only=True)
class Start:
    """The weights to start from; at most one of the two.

    init_from: a run's folder or a checkpoint
    backbone: file with a ResNet-18's state dict
    """

    init_from: Path | None = None
    backbone: Path | None = None

    def __post_init__(self) -> None:
        if self.init_from and self.backbone:
            raise UserError("--init-from and --backbone: give one of them, a run has a backbone already")

    def hashes(self, gone: Mapping[str, str] = MappingProxyType({})) -> dict[str, str | None]:
        """Hash the files, None for one that is not given. gone: hashes to use for files that no longer exist.

        Raises UserError for a missing file without a hash in `gone`.
        """
        files = {"init_from": self.init_from and file_of(self.init_from), "backbone": self.backbone}
        return {
            name: gone[name] if path and name in gone and not path.exists() else _hash(path, flag(name))
            for name, path in files.items()
        }

    def load_into(self, network: ClipNetwork, labels: Sequence[str]) -> "Loaded | None":
        """Load the weights into a network with these classes. Returns what was taken, None if there are none.

        Raises UserError if they cannot be used.
        """
        if self.init_from:
            return start_from_run(network, labels, file_of(self.init_from))
        return start_from_backbone(network, self.backbone) if self.backbone else None


FROM_SCRATCH = Start()


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What was taken from a file of weights.

    source: the file, as given; of a run's folder, its checkpoint
    loaded: names of the tensors taken
    partial: those of them of which only the rows of some classes were taken
    num_params: how many numbers they have
    skipped: name in the file -> why it was not taken
    missing: names of the network's tensors that keep their random initialisation
    classes: labels whose rows of the classifiers were taken
    trained_on: as in a checkpoint
    """

    source: str
    loaded: tuple[str, ...]
    num_params: int
    skipped: Mapping[str, str]
    missing: tuple[str, ...]
    partial: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    trained_on: tuple[str, ...] = ()

    @property
    def complete(self) -> tuple[str, ...]:
        """The names of the tensors that were taken completely."""
        return tuple(name for name in self.loaded if name not in self.partial)


def file_of(path: Path) -> Path:
    """The checkpoint that is meant: the best one if `path` is a run's folder. Raises UserError for another folder."""
    if not path.is_dir():
        return path
    require_run(path)
    return path / BEST


def start_from_run(network: ClipNetwork, labels: Sequence[str], path: Path) -> Loaded:
    """Load what fits from a checkpoint into a network with these classes.

    Raises UserError if it is not a checkpoint or nothing fits.
    """
    saved = checkpoint.load(path)
    own = network.state_dict()
    there = match_labels(saved.labels, labels)  # our label -> its name there, or None
    shared = [label for label in labels if there[label]]
    taken = {}
    for name, value in saved.model.items():
        if name.startswith((*network.fitted, ADJUSTMENT)):
            continue
        if not name.startswith(network.heads) or (shared and name not in own):
            taken[name] = value
        elif shared and value.shape[1:] == own[name].shape[1:]:
            taken[name] = own[name].clone()
            rows = [saved.labels.index(there[label]) for label in shared]
            taken[name][[labels.index(label) for label in shared]] = value[rows]
    heads = {name for name in saved.model if name.startswith(network.heads)}
    reasons = {} if shared else dict.fromkeys(heads - taken.keys(), "no class in common")
    loaded = _load(network, taken, path, classes=tuple(shared), reasons=reasons)
    some = len(shared) < len(labels)
    partial = tuple(name for name in loaded.loaded if some and name.startswith(network.heads))
    return replace(loaded, partial=partial, trained_on=tuple(saved.trained_on))


def start_from_backbone(network: ClipNetwork, path: Path) -> Loaded:
    """Load the backbone from a ResNet-18's state dict with torchvision's or timm's names.

    path: .safetensors, or a torch.save file, which is read without running any code in it

    Raises UserError if the file cannot be read or has another network.
    """
    content = _read(path)
    if isinstance(content, Mapping) and str(content.get("kind")).startswith(checkpoint.FAMILY):
        raise UserError(f"--backbone {path}: this is a checkpoint of `train run`; give it with --init-from")
    state = _tensors(content, path)
    stems = sorted((name for name in state if name.endswith("conv1.weight")), key=len)
    prefix = stems[0].removesuffix("conv1.weight") if stems else ""
    backbone = getattr(network, "backbone", None)
    if not isinstance(backbone, ResNet18):
        raise UserError(
            f"--backbone {path}: this model has no ResNet-18 that could start from it; leave it out"
        )
    own = backbone.state_dict()
    named = {name.removeprefix(prefix): value for name, value in state.items()}
    reasons = {
        name: _misfit(name, named[name], value) if name in named else "it is missing"
        for name, value in own.items()
        if not name.endswith(COUNTER)
    }
    misfits = [(name, reason) for name, reason in reasons.items() if reason]
    if misfits:
        name, reason = misfits[0]
        raise UserError(
            f"--backbone {path}: not a ResNet-18 with torchvision's names: "
            f"{len(misfits)} of {len(own)} weights do not fit, first {name} ({reason})"
        )
    taken = {f"backbone.{name}": value for name, value in named.items()}
    return _load(network, taken, path)


def _load(
    network: ClipNetwork,
    found: Mapping[str, Tensor],
    path: Path,
    classes: tuple[str, ...] = (),
    reasons: Mapping[str, str] | None = None,
) -> Loaded:
    """Load what fits. reasons: what was skipped already, and why."""
    own, skipped, fitted = network.state_dict(), dict(reasons or {}), (*network.fitted, ADJUSTMENT)
    for name, value in found.items():
        if name not in own:
            skipped[name.removeprefix("backbone.")] = "the network has no such weight"
        elif reason := _misfit(name, value, own[name], network.frame_positions):
            skipped[name] = reason
    loaded = {name: value for name, value in found.items() if name in own and name not in skipped}
    if not loaded:
        raise UserError(f"{path}: none of its weights fits the network")
    if not all(torch.isfinite(value).all() for value in loaded.values()):
        raise UserError(f"{path}: contains NaN or Inf")
    network.load_state_dict(loaded, strict=False)
    return Loaded(
        source=str(path),
        loaded=tuple(loaded),
        num_params=sum(value.numel() for value in loaded.values()),
        skipped=skipped,
        missing=tuple(name for name in own if name not in loaded and not name.startswith(fitted)),
        classes=classes,
    )


def _misfit(name: str, value: Tensor, own: Tensor, positions: str = "") -> str | None:
    """Say why a tensor cannot replace the network's of this name; None if it can.

    positions: the name of weights with a row per frame
    """
    if name == positions and value.shape[::2] == own.shape[::2] and value.shape != own.shape:
        there, here = (tensor.shape[1] - 1 for tensor in (value, own))  # one is the class token's
        return f"positions for clips of {counted(there, 'frame')}, the network takes {here}"
    if value.shape != own.shape:
        return f"its shape is {_shape(value)}, the network's {_shape(own)}"
    if value.is_floating_point() != own.is_floating_point():
        return f"its type is {value.dtype}"
    return None


def _read(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if zipfile.is_zipfile(path):
            checkpoint.check_sums(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"--backbone {path}: {error.strerror or error}") from None
    except SafetensorError as error:
        raise UserError(f"--backbone {path}: not a safetensors file ({error})") from None
    except Exception as error:  # torch raises many kinds for what is not its own
        raise UserError(
            f"--backbone {path}: not a torch.save file of plain tensors ({type(error).__name__}); "
            "save the network's state_dict()"
        ) from None


def _tensors(content: Any, path: Path) -> dict[str, Tensor]:
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if isinstance(content, Mapping):
        found = {k: v for k, v in content.items() if isinstance(k, str) and isinstance(v, Tensor)}
        if found:
            return found
    raise UserError(f"--backbone {path}: no named weights in it; save the network's state_dict()")


def _hash(path: Path | None, option: str) -> str | None:
    if path is None:
        return None
    try:
        with path.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{option} {path}: {error.strerror or error}") from None


def _shape(value: Tensor) -> str:
    return "×".join(map(str, value.shape)) or "one number"
