"""Start a network from weights that are there: of another run, or of a ResNet-18 from elsewhere.

What fits by name and shape is taken. The classifiers' rows follow what their labels mean ("Happy" is "happiness"), so
that a run on other classes, or on the same in another order, starts from what it shares. What was not taken is said.
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
from dfer.train.config import flag
from dfer.train.engine import checkpoint
from dfer.train.models.keypoint.network import DferNetwork
from dfer.train.results.run_folder import BEST, require_run

HEADS = ("clip_head.", "frame_head.")
WRAPPERS = ("state_dict", "model")  # under which training scripts keep a state dict
COUNTER = ".num_batches_tracked"  # of batch norm; takes no part in a prediction, and older files lack it


@dataclass(frozen=True, kw_only=True)
class Start:
    """What a network starts from, one of the two or neither. init_from: a run's folder or a checkpoint;
    backbone: a ResNet-18's state dict."""

    init_from: Path | None = None
    backbone: Path | None = None

    def __post_init__(self) -> None:
        if self.init_from and self.backbone:
            raise UserError("--init-from brings its own backbone: give it or --backbone, not both")

    def hashes(self, gone: Mapping[str, str] = MappingProxyType({})) -> dict[str, str | None]:
        """Of the files' bytes, None for what is not given. gone: what to take for files that are not there.

        Raises UserError for a file that is not there and not in `gone`.
        """
        files = {"init_from": self.init_from and file_of(self.init_from), "backbone": self.backbone}
        return {
            name: gone[name] if path and name in gone and not path.exists() else _hash(path, flag(name))
            for name, path in files.items()
        }

    def load_into(self, network: DferNetwork, labels: Sequence[str]) -> "Loaded | None":
        """Change the network's weights to these; what became of them, None where there are none.

        Raises UserError where they cannot be used.
        """
        if self.init_from:
            return start_from_run(network, labels, file_of(self.init_from))
        return start_from_backbone(network, self.backbone) if self.backbone else None


FROM_SCRATCH = Start()


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What became of a file's weights and of the network's. numbers: how many were taken.

    skipped: name in the file → why; missing: the network's own that start fresh; classes: whose rows of the
    classifiers were taken; trained_on: as in a checkpoint.
    """

    source: str
    loaded: tuple[str, ...]
    numbers: int
    skipped: Mapping[str, str]
    missing: tuple[str, ...]
    classes: tuple[str, ...] = ()
    trained_on: tuple[str, ...] = ()


def file_of(path: Path) -> Path:
    """The file that is meant: of a run's folder its best checkpoint. Raises UserError for another folder."""
    if not path.is_dir():
        return path
    require_run(path)
    return path / BEST


def start_from_run(network: DferNetwork, labels: Sequence[str], path: Path) -> Loaded:
    """Take what fits of a checkpoint. labels: of the network.

    Raises UserError where it is no checkpoint or nothing of it fits.
    """
    kept = checkpoint.load(path)
    own = network.state_dict()
    there = match_labels(kept.labels, labels)  # each of ours by its name there
    shared = [label for label in labels if there[label]]
    taken = {}
    for name, value in kept.model.items():
        if not name.startswith(HEADS) or (shared and name not in own):
            taken[name] = value
        elif shared and value.shape[1:] == own[name].shape[1:]:
            taken[name] = own[name].clone()
            rows = [kept.labels.index(there[label]) for label in shared]
            taken[name][[labels.index(label) for label in shared]] = value[rows]
    reasons = {} if shared else dict.fromkeys(kept.model.keys() - taken.keys(), "no class in common")
    loaded = _take(network, taken, path, classes=tuple(shared), reasons=reasons)
    return replace(loaded, trained_on=tuple(kept.trained_on))


def start_from_backbone(network: DferNetwork, path: Path) -> Loaded:
    """Take the backbone from a state dict with torchvision's or timm's names of ResNet-18.

    path: .safetensors, or a file of torch.save, which is read without running any code in it.
    Raises UserError where the file cannot be read or holds another network.
    """
    content = _read(path)
    if isinstance(content, Mapping) and str(content.get("kind")).startswith(checkpoint.FAMILY):
        raise UserError(f"--backbone {path}: it is a checkpoint of this program; give it with --init-from")
    state = _tensors(content, path)
    stems = sorted((name for name in state if name.endswith("conv1.weight")), key=len)
    prefix = stems[0].removesuffix("conv1.weight") if stems else ""
    own = network.backbone.state_dict()
    named = {name.removeprefix(prefix): value for name, value in state.items()}
    reasons = {
        name: _misfit(named[name], value) if name in named else "it is missing"
        for name, value in own.items()
        if not name.endswith(COUNTER)
    }
    misfits = [(name, reason) for name, reason in reasons.items() if reason]
    if misfits:
        name, reason = misfits[0]
        raise UserError(
            f"--backbone {path}: it is no ResNet-18 by torchvision's names: "
            f"{len(misfits)} of {len(own)} weights do not fit, the first is {name} ({reason})"
        )
    taken = {f"backbone.{name}": value for name, value in named.items()}
    return _take(network, taken, path)


def _take(
    network: DferNetwork,
    found: Mapping[str, Tensor],
    path: Path,
    classes: tuple[str, ...] = (),
    reasons: Mapping[str, str] | None = None,
) -> Loaded:
    own, skipped = network.state_dict(), dict(reasons or {})
    for name, value in found.items():
        if name not in own:
            skipped[name.removeprefix("backbone.")] = "the network has no such weight"
        elif reason := _misfit(value, own[name]):
            skipped[name] = reason
    loaded = {name: value for name, value in found.items() if name in own and name not in skipped}
    if not loaded:
        raise UserError(f"{path}: nothing in it fits the network")
    if not all(torch.isfinite(value).all() for value in loaded.values()):
        raise UserError(f"{path}: it holds what is no number")
    network.load_state_dict(loaded, strict=False)
    return Loaded(
        source=path.name,
        loaded=tuple(loaded),
        numbers=sum(value.numel() for value in loaded.values()),
        skipped=skipped,
        missing=tuple(name for name in own if name not in loaded),
        classes=classes,
    )


def _misfit(value: Tensor, own: Tensor) -> str | None:
    """Why a tensor cannot take the place of the network's own; None where it can. Integers stand only for counters:
    weights in them are shares of a scale that is lost here."""
    if value.shape != own.shape:
        return f"its shape is {_shape(value)}, the network's {_shape(own)}"
    real = value.is_floating_point() or not (own.is_floating_point() or value.is_complex())
    if value.layout != torch.strided or value.is_quantized or value.is_meta or not real:
        return f"it is no plain tensor of real numbers ({value.dtype}, {value.layout}, {value.device})"
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
            f"--backbone {path}: no file of torch.save that holds only tensors ({type(error).__name__}); "
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
    raise UserError(f"--backbone {path}: it holds no weights by name; save the network's state_dict()")


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
