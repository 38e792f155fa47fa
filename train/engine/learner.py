"""A network together with what trains it: objective, optimiser, gradient scaler, moving average of the weights.

A step is `zero_grad`, `accumulate` once for each of its parts, then `step`.
"""

import functools
import warnings
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from dfer.schemas.support.errors import UserError
from dfer.train.config import TrainConfig
from dfer.train.data.dataset import Batch
from dfer.train.engine.averaging import averaged_copy
from dfer.train.engine.distributed import World
from dfer.train.engine.forward import scores_of
from dfer.train.engine.objective import class_counts, objective, prediction_shift
from dfer.train.engine.optim import clip_gradients, make_optimiser
from dfer.train.engine.precision import gradient_scaler
from dfer.train.models.interface import ClipNetwork, Scores


class Learner:
    """network: the one that is trained; averaged: moving average of its weights, None if the recipe has none."""

    def __init__(
        self,
        config: TrainConfig,
        network: ClipNetwork,
        truth: np.ndarray,
        device: torch.device,
        world: World | None = None,
        loaded: Collection[str] = (),
    ) -> None:
        """Make a network ready for its first step.

        truth: labels or shares of votes of all training clips (see `objective`)
        loaded: names of its weights that come from elsewhere
        """
        self.config, self.device, self.world = config, device, world or World()
        if config.execution.channels_last:
            use_channels_last(network)
        network.class_shift = prediction_shift(config.recipe, class_counts(truth, network.classes))
        network = network.to(device)
        self.network = network
        self.averaged = averaged_copy(network, config.recipe.ema_decay) if config.recipe.ema_decay else None
        self.objective = objective(config.recipe, truth, network)
        self.optimiser = make_optimiser(network, config.recipe, loaded)
        self.scaler = gradient_scaler(config.execution.precision, device)

    @functools.cached_property
    def model(self) -> nn.Module:
        """The network as steps call it: compiled if asked for, its gradients averaged over the processes.

        The first use must come in all processes at once: it copies the first one's weights to the others.
        """
        if self.config.execution.compile:
            self.network.compile()
        if self.world.size == 1:
            return self.network
        devices = [self.device] if self.device.type == "cuda" else None
        # With one clip in a process the gradient of a class token, (1, 1, R), is a view of a larger tensor: other
        # strides where the size is 1, the same numbers in the same order. Torch warns, there is nothing to do.
        warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
        return DistributedDataParallel(self.network, device_ids=devices)

    def zero_grad(self) -> None:
        """Start a step: clear the gradients, switch to training mode."""
        self.model.train()
        self.optimiser.zero_grad(set_to_none=True)

    def accumulate(self, batch: Batch, weight: float, *, mix: float = 1.0, last: bool = True) -> Tensor:
        """Add the gradients of one part of a step.

        batch: the part, on the device
        weight: of the clips of the entire step, in all processes (`Objective.weight`)
        mix: each clip's own share (mixup)
        last: whether it is the last part of the step

        Returns (1 + classes²,) on the device: the part's loss, not divided by the weight, then its confusion matrix.
        Raises UserError if batch norm would see a single value per channel.
        """
        with self._gradient_exchange(last=last):
            scores = self._scores(batch, mix)
            loss = self.objective.total(scores, batch.truth, mix)
            # DistributedDataParallel averages over processes, but a step is the sum of its parts.
            self.scaler.scale(loss * (self.world.size / weight)).backward()
        classes, counted = self.network.classes, batch.labels >= 0
        cells = batch.labels[counted] * classes + scores.clip.argmax(1)[counted]
        matrix = torch.bincount(cells, minlength=classes**2)
        return torch.cat([loss.detach().view(1), matrix.to(loss.dtype)])

    def _scores(self, batch: Batch, mix: float) -> Scores:
        try:
            return scores_of(self.model, batch, self.config, self.device, mix=mix)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):  # torch's message
                raise
            raise UserError(
                "batch norm needs more than one value per channel, but a part of a step is one clip with one frame "
                "and a 1×1 feature map; increase --num-frames or --image-size, or change --batch-size"
            ) from None

    def _gradient_exchange(self, *, last: bool) -> AbstractContextManager:
        """Exchange gradients between processes once a step, with its last part."""
        waits = isinstance(self.model, DistributedDataParallel) and not last
        return self.model.no_sync() if waits else nullcontext()

    def step(self) -> None:
        """Update the weights with the accumulated gradients."""
        self.scaler.unscale_(self.optimiser)
        clip_gradients(self.network.parameters(), self.config.recipe.clip_norm)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        if self.averaged:
            self.averaged.update_parameters(self.network)

    def predicting(self) -> nn.Module:
        """The network to predict with: the moving average if there is one, else the trained one."""
        return self.averaged.module if self.averaged else self.network

    def state(self) -> dict[str, Any]:
        """Everything needed to resume, except the weights of `predicting`."""
        state = {"optimiser": self.optimiser.state_dict(), "scaler": self.scaler.state_dict()}
        if self.averaged:
            state["weights"] = self.network.state_dict()
            state["averaged"] = int(self.averaged.n_averaged)
        return state

    def restore(self, weights: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Restore from the weights of `predicting` and from `state` (extra keys are ignored).

        Raises whatever Python and torch raise if they do not fit.
        """
        self.network.load_state_dict(state["weights"] if self.averaged else weights)
        if self.averaged:
            self.averaged.module.load_state_dict(weights)
            self.averaged.n_averaged.fill_(state["averaged"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])


def use_channels_last(network: nn.Module) -> None:
    """Store 2D convolutions' weights channels last; the maps follow. `Module.to` fails if there are 3D ones too."""
    for weight in network.parameters():
        if weight.ndim == 4:
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)
