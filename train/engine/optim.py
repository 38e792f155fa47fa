"""The optimiser of a recipe, and the learning rate at each point of a training."""

import math
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import torch
from torch import nn

from dfer.train.config import RecipeConfig


def make_optimiser(
    network: nn.Module, recipe: RecipeConfig, loaded: Collection[str] = ()
) -> torch.optim.Optimizer:
    """Make Adam, AdamW, or SGD with momentum.

    loaded: names of the weights that learn `recipe.loaded_lr` times as fast as the others

    Weight decay applies to matrices and convolutions only, not to biases, norms, the class token or the positions
    (Goyal et al. 2017, Section 5.3; Dosovitskiy et al. 2021).
    """
    named = [(name, weight) for name, weight in network.named_parameters() if weight.requires_grad]
    slow = {*loaded} if recipe.loaded_lr != 1 else set()
    groups = _groups([(name, w) for name, w in named if name not in slow], recipe, 1.0)
    if slow:
        groups += _groups([(name, w) for name, w in named if name in slow], recipe, recipe.loaded_lr)
    if recipe.optimiser == "sgd":
        nesterov = recipe.nesterov and recipe.momentum > 0  # torch refuses it without momentum
        return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=nesterov)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[recipe.optimiser]
    return kind(groups, lr=recipe.learning_rate, betas=recipe.betas)


def _groups(
    named: Sequence[tuple[str, nn.Parameter]], recipe: RecipeConfig, factor: float
) -> list[dict[str, Any]]:
    """Two groups of parameters, with and without weight decay. factor: on the learning rate of both."""
    kept = ("token", "positions")
    decayed = [w for name, w in named if w.ndim > 1 and name.split(".")[-1] not in kept]
    others = [w for name, w in named if w.ndim <= 1 or name.split(".")[-1] in kept]
    rate = {"lr": factor * recipe.learning_rate, "factor": factor}
    return [
        {"params": decayed, "weight_decay": recipe.weight_decay, **rate},
        {"params": others, "weight_decay": 0.0, **rate},
    ]


def learning_rate(recipe: RecipeConfig, epoch_fraction: float) -> float:
    """The learning rate after `epoch_fraction` epochs (3.5: halfway through the fourth).

    A linear warm-up comes first. Then `steps` multiplies by `decay` at each milestone (Section 4.2), and `cosine`
    falls to zero at the end of the last epoch. A pure function, so resuming needs no scheduler state.
    """
    if epoch_fraction < recipe.warmup_epochs:
        # Slightly ahead, so that the first step's learning rate is not zero.
        return recipe.learning_rate * (epoch_fraction + 1e-3) / (recipe.warmup_epochs + 1e-3)
    if recipe.schedule == "steps":
        return recipe.learning_rate * recipe.decay ** sum(epoch_fraction >= m for m in recipe.milestones)
    falling = (epoch_fraction - recipe.warmup_epochs) / max(recipe.epochs - recipe.warmup_epochs, 1e-9)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * min(falling, 1.0)))


def set_learning_rate(optimiser: torch.optim.Optimizer, value: float) -> None:
    """Set the learning rate; each group keeps its factor."""
    for group in optimiser.param_groups:
        group["lr"] = group["factor"] * value


def clip_gradients(parameters: Iterable[torch.Tensor], norm: float) -> None:
    """Scale all gradients down together to at most this norm; 0 does nothing."""
    if norm > 0:
        nn.utils.clip_grad_norm_(parameters, norm)
