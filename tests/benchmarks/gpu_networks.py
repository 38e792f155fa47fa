"""The networks that gpu.py measures: those of the presets, and variants in `VARIANTS`.

Imports of `dfer` stand in the functions, since the package may first have to be made from this checkout.
"""

import importlib.util
import sys
import types
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

ROOT = Path(__file__).parents[2]
CLASSES = 7
# name → the preset that it changes, and the changes
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {"paper-7x7": ("paper", {"stage_strides": (1, 2, 1, 2)})}
USUAL = ("paper", "lean", "former-dfer")
NETWORKS = (*sorted(path.stem for path in (ROOT / "train" / "presets").glob("*.toml")), *VARIANTS)

# Where it is not installed, the folders of this checkout are its packages.
if "dfer" not in sys.modules and importlib.util.find_spec("dfer") is None:
    package = types.ModuleType("dfer")
    package.__path__ = [str(ROOT)]
    sys.modules["dfer"] = package


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A network with what it is trained with.

    network: a ClipNetwork
    config: its TrainConfig
    objective: its Objective
    """

    network: Any
    config: Any
    objective: Any

    def loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The mean loss of the clips."""
        truth = batch["labels"]
        return self.objective.total(self.network(self._given(batch)), truth) / len(truth)

    def predict(self, batch: Mapping[str, Tensor]) -> Tensor:
        """(B, classes) logits."""
        return self.network(self._given(batch)).clip

    def _given(self, batch: Mapping[str, Tensor]) -> Any:
        from dfer.train.models.interface import NetworkInput

        return NetworkInput(**{name: values for name, values in batch.items() if name != "labels"})


def subject(name: str, sizes: Mapping[str, int]) -> Subject:
    """Make a network. sizes: num_frames and image_size, where they are not its preset's."""
    from dfer.schemas.keypoints import DLIB18
    from dfer.train.config import load_config
    from dfer.train.engine.objective import objective
    from dfer.train.models.registry import build

    preset, changes = VARIANTS.get(name, (name, {}))
    config = load_config(preset, {**changes, **sizes}).settled(scores=True)
    network = build(config.model, config.network, config.task(CLASSES, DLIB18), seed=0)
    return Subject(
        network=network, config=config, objective=objective(config.recipe, np.arange(CLASSES), network)
    )


def random_batch(subject: Subject, clips: int, device: torch.device) -> dict[str, Tensor]:
    """What the network takes and the labels, the same numbers on every device; above 64 clips they repeat."""
    data, settings = subject.config.data, subject.config.network
    random, shape = torch.Generator().manual_seed(0), (min(clips, 64), data.num_frames)
    batch = {
        "frames": torch.randn(*shape, 3, data.image_size, data.image_size, generator=random),
        "keypoints": torch.rand(*shape, 18, 2, generator=random),
        "detected": torch.ones(shape, dtype=torch.bool),
        "labels": torch.arange(shape[0]) % CLASSES,
    }
    if settings.takes_landmarks:
        batch["landmarks"] = torch.rand(*shape, 68, 2, generator=random)
    if settings.takes_expressions:
        batch["expressions"] = torch.rand(*shape, 52, generator=random)
    again = torch.arange(clips, device=device) % shape[0]
    return {name: value.to(device)[again] for name, value in batch.items()}
