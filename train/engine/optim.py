"""The optimiser of a recipe, and its step size as a function of how far the training is."""

import math
from collections.abc import Iterable

import torch
from torch import nn

from dfer.train.config import RecipeConfig


def make_optimiser(network: nn.Module, recipe: RecipeConfig) -> torch.optim.Optimizer:
    """Adam, AdamW or SGD with Nesterov's momentum; weight decay only on matrices and convolutions.

    Biases, norms, the class token and positions are not decayed, as is usual (Goyal et al. 2017, Section 5.3;
    Dosovitskiy et al. 2021).
    """
    named = [(name, weight) for name, weight in network.named_parameters() if weight.requires_grad]
    kept = ("token", "positions")
    decayed = [w for name, w in named if w.ndim > 1 and name.split(".")[-1] not in kept]
    others = [w for name, w in named if w.ndim <= 1 or name.split(".")[-1] in kept]
    groups = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(
            groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0
        )
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[recipe.optimiser]
    return kind(groups, lr=recipe.learning_rate, betas=recipe.betas)


def learning_rate(recipe: RecipeConfig, progress: float) -> float:
    """The step size after `progress` epochs (3.5: in the middle of the fourth).

    A warm-up grows linearly to the recipe's step size; `steps` multiplies it by `decay` at each milestone,
    `cosine` lets it fall to zero at the last epoch's end. It has no state: the position of the training is all.
    """
    if progress < recipe.warmup_epochs:
        # A little ahead, so that the first step of all is not of size zero.
        return recipe.learning_rate * (progress + 1e-3) / (recipe.warmup_epochs + 1e-3)
    if recipe.schedule == "steps":
        return recipe.learning_rate * recipe.decay ** sum(progress >= m for m in recipe.milestones)
    falling = (progress - recipe.warmup_epochs) / max(recipe.epochs - recipe.warmup_epochs, 1e-9)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * min(falling, 1.0)))


def set_learning_rate(optimiser: torch.optim.Optimizer, value: float) -> None:
    """The step size of the next step, for all parameters."""
    for group in optimiser.param_groups:
        group["lr"] = value


def clip_gradients(parameters: Iterable[torch.Tensor], norm: float) -> None:
    """Scale the gradients down to this norm together; 0 leaves them alone."""
    if norm > 0:
        nn.utils.clip_grad_norm_(parameters, norm)
