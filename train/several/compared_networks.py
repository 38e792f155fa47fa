"""What `train compare` compares: the settings of each network, which differ in the network and its recipe."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dfer.schemas.support.errors import UserError
from dfer.train.config import TrainConfig, default_preset, load_config
from dfer.train.data.caches import Pool
from dfer.train.models.registry import MODELS, build, network_class

OWN = "own"  # the recipe of each network's own preset
PRETRAINING = "pretraining"  # folder of the runs on stills


@dataclass(frozen=True, kw_only=True)
class Networks:
    """What is compared.

    models: names of models or presets, or FILE.py:CLASS
    recipe: OWN, a preset's name or its file
    settings: overrides of data, recipe and execution, by field
    stills: cache to train every network on first, None: all start from scratch
    pretrain_epochs: passes over the stills; None: those of the preset `pretrain`
    """

    models: tuple[str, ...]
    recipe: str = OWN
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    stills: Path | None = None
    pretrain_epochs: int | None = None


def configs_of(asked: Networks) -> dict[str, TrainConfig]:
    """The settings of each network by its name; clips, crops, epochs and seeds are alike.

    With OWN recipes, crops and epochs are those of the first network; a recipe's milestones and warm-up keep their
    place in the training. Raises UserError.
    """
    names = _names(asked.models)
    if len(set(names)) < len(names) or PRETRAINING in names:
        raise UserError(
            f"--models {','.join(asked.models)}: give networks with different names ({', '.join(names)})"
        )
    if asked.recipe != OWN:
        chosen = [load_config(asked.recipe, {**asked.settings, "model": model}) for model in asked.models]
        return dict(zip(names, chosen, strict=True))
    first = load_config(None, {**asked.settings, "model": asked.models[0]})
    alike = {
        **dataclasses.asdict(first.data),
        **dataclasses.asdict(first.execution),
        "epochs": first.recipe.epochs,
        "seed": first.recipe.seed,
    }
    found = {}
    for name, model in zip(names, asked.models, strict=True):
        scaled = _scaled(load_config(None, {"model": model}), first.recipe.epochs)
        found[name] = load_config(None, {**scaled, **alike, **asked.settings, "model": model})
    return found


def recipes_of(asked: Networks) -> list[str]:
    """The preset that each network's recipe is from."""
    if asked.recipe != OWN:
        return [asked.recipe] * len(asked.models)
    return [default_preset(model) for model in asked.models]


def _scaled(config: TrainConfig, epochs: int) -> dict[str, Any]:
    """The settings of a recipe that are counted in epochs, for another number of epochs."""
    factor = epochs / config.recipe.epochs
    return {
        "milestones": tuple(factor * epoch for epoch in config.recipe.milestones),
        "warmup_epochs": factor * config.recipe.warmup_epochs,
    }


def _names(models: Sequence[str]) -> list[str]:
    """The names in tables and folders: of FILE.py:CLASS the class, or FILE.CLASS if others have the same class."""
    classes = [model.rsplit(":", 1)[-1] for model in models]
    return [
        f"{Path(model.rsplit(':', 1)[0]).stem}.{name}" if classes.count(name) > 1 and ":" in model else name
        for model, name in zip(models, classes, strict=True)
    ]


def require_buildable(config: TrainConfig, pool: Pool) -> None:
    """Raise UserError if the network cannot take these crops: find it now, not after days of training."""
    import torch

    config = config.settled(not pool.without_expressions)
    with torch.device("meta" if config.model in MODELS else "cpu"):  # a user's own is tried out
        build(config.model, config.network, config.task(len(pool.labels), pool.keypoints), seed=0)


def stills_config(given: TrainConfig, asked: Networks, stills: Pool) -> TrainConfig:
    """A network's settings for the stills: those of the preset `pretrain`, on crops like the clips'.

    A network that needs several frames sees each still as often (`ClipNetwork.takes_stills`).
    """
    settings: dict[str, Any] = {
        "image_size": given.data.image_size,
        "crop_fraction": given.data.crop_fraction,
        "seed": given.recipe.seed,
        **dataclasses.asdict(given.execution),
    }
    if asked.pretrain_epochs:
        settings["epochs"] = asked.pretrain_epochs
    if stills.clips["votes"].count():
        settings |= {"soft_labels": True, "label_smoothing": 0.0}
    config = load_config("pretrain", {**settings, "model": given.model})
    config = dataclasses.replace(config, network=given.network.without_landmarks())
    if not network_class(given.model).takes_stills:
        data = dataclasses.replace(config.data, num_frames=given.data.num_frames)
        config = dataclasses.replace(config, data=data)
    return config
