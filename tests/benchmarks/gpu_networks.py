"""The networks that gpu.py measures, in `NETWORKS`: add one here.

Imports of `dfer` stand in the functions, since the package may first have to be made from this checkout.
"""

import importlib.util
import sys
import tomllib
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

ROOT = Path(__file__).parents[2]
CLASSES = 7

# Where it is not installed, the folders of this checkout are its packages.
if "dfer" not in sys.modules and importlib.util.find_spec("dfer") is None:
    package = types.ModuleType("dfer")
    package.__path__ = [str(ROOT)]
    sys.modules["dfer"] = package


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A network with its recipe.

    frames, image_size: of its clips
    loss: (network, batch) → the mean loss of the clips
    predict: (network, batch) → (B, classes) logits
    """

    network: nn.Module
    recipe: Any
    frames: int
    image_size: int
    loss: Callable[[nn.Module, Mapping[str, Tensor]], Tensor]
    predict: Callable[[nn.Module, Mapping[str, Tensor]], Tensor]


def keypoint(preset: str, **changes: Any) -> Callable[[Mapping[str, int]], Subject]:
    """The key-point network with the settings of a preset, some of them changed."""

    def make(sizes: Mapping[str, int]) -> Subject:
        from dfer.schemas.keypoints import DLIB18
        from dfer.train.config import load_config
        from dfer.train.engine.objective import objective
        from dfer.train.models.keypoint.network import build

        config = load_config(preset, {**changes, **sizes}).settled(scores=True)
        data, taken = config.data, ["detected"]
        taken += ["landmarks"] if config.network.takes_landmarks else []
        taken += ["expressions"] if config.network.takes_expressions else []
        total = objective(config.recipe, np.arange(CLASSES), CLASSES).total

        def scores(network: nn.Module, batch: Mapping[str, Tensor]) -> Any:
            return network(batch["frames"], batch["keypoints"], **{name: batch[name] for name in taken})

        return Subject(
            network=build(config.network, CLASSES, data.num_frames, 0, DLIB18),
            recipe=config.recipe,
            frames=data.num_frames,
            image_size=data.image_size,
            loss=lambda network, batch: total(scores(network, batch), batch["labels"]) / len(batch["labels"]),
            predict=lambda network, batch: scores(network, batch).clip,
        )

    return make


def clip_network(module: str, name: str) -> Callable[[Mapping[str, int]], Subject]:
    """A `ClipNetwork` of train.models with the preset that has the name of its module."""

    def make(sizes: Mapping[str, int]) -> Subject:
        from dfer.schemas.keypoints import DLIB18
        from dfer.train.config import PRESETS, DataConfig, RecipeConfig
        from dfer.train.models.interface import NetworkInput, Task

        kind = getattr(importlib.import_module(f"dfer.train.models.{module}"), name)
        preset = tomllib.loads((PRESETS / f"{module.split('.')[-1]}.toml").read_text())
        data = DataConfig(**{**preset["data"], **sizes})
        task = Task(classes=CLASSES, num_frames=data.num_frames, image_size=data.image_size, keypoints=DLIB18)
        torch.manual_seed(0)
        network = kind(kind.Config(**preset["network"]), task)
        weights = network.loss_weights

        def scores(network: nn.Module, batch: Mapping[str, Tensor]) -> Any:
            return network(NetworkInput(**{key: batch[key] for key in NetworkInput._fields if key in batch}))

        def loss(network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
            given, truth = scores(network, batch), batch["labels"]
            shares = F.one_hot(truth, CLASSES).float()
            parts = {name: F.cross_entropy(logits.float(), truth) for name, logits in given.auxiliary.items()}
            parts |= {name: penalty.mean() for name, penalty in given.penalties.items()}
            parts |= {name: judged.mean() for name, judged in network.judged(given, shares).items()}
            parts["clip"] = F.cross_entropy(given.clip.float(), truth)
            return torch.stack([weights[name] * part for name, part in parts.items()]).sum()

        return Subject(
            network=network,
            recipe=RecipeConfig(**preset["recipe"]),
            frames=data.num_frames,
            image_size=data.image_size,
            loss=loss,
            predict=lambda network, batch: scores(network, batch).clip,
        )

    return make


# The networks that can be measured: name → what makes one of given sizes (num_frames, image_size), else its preset's.
NETWORKS: dict[str, Callable[[Mapping[str, int]], Subject]] = {
    "paper": keypoint("paper"),
    "paper-7x7": keypoint("paper", stage_strides=(1, 2, 1, 2)),
    "strong": keypoint("strong"),
    "dpcnet": clip_network("transformers.dpcnet", "Dpcnet"),
    "estlnet": clip_network("transformers.estlnet", "Estlnet"),
}
USUAL = ("paper", "paper-7x7", "strong")
