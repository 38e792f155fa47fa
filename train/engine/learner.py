"""A network and what teaches it: objective, optimiser, gradient scaler, moving average of the weights.

A step is `begin`, `add` for each of its parts, `finish`.
"""

import functools
from collections.abc import Mapping
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
from dfer.train.engine.objective import objective
from dfer.train.engine.optim import clip_gradients, make_optimiser
from dfer.train.engine.precision import gradient_scaler
from dfer.train.models.keypoint.network import DferNetwork


class Learner:
    """network: whose weights learn; averaged: their moving average, None where the recipe keeps none."""

    def __init__(
        self,
        config: TrainConfig,
        network: DferNetwork,
        labels: np.ndarray,
        device: torch.device,
        world: World | None = None,
    ) -> None:
        """network: as it starts; labels: (clips,) of all training clips, as numbers."""
        self.config, self.device, self.world = config, device, world or World()
        network = network.to(device)
        if config.execution.channels_last:
            network = network.to(memory_format=torch.channels_last)
        self.network = network
        self.averaged = averaged_copy(network, config.recipe.ema_decay) if config.recipe.ema_decay else None
        self.objective = objective(config.recipe, labels, network.classes)
        self.optimiser = make_optimiser(network, config.recipe)
        self.scaler = gradient_scaler(config.execution.precision, device)

    @functools.cached_property
    def model(self) -> nn.Module:
        """The network as the steps call it: compiled, and with its gradients averaged over the processes, which meet
        here for the first time: the first one's weights are all others' from now on."""
        if self.config.execution.compile:
            self.network.compile()
        if self.world.size == 1:
            return self.network
        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(self.network, device_ids=devices)

    def begin(self) -> None:
        """Start a step: no gradients yet."""
        self.model.train()
        self.optimiser.zero_grad(set_to_none=True)

    def add(self, batch: Batch, weight: float, *, mix: float = 1.0, last: bool = True) -> Tensor:
        """Add the gradients of a part of the step.

        batch: on the device; weight: of the whole step's clips, over all processes (`Objective.weight`); mix: the
        share of each clip's own vectors (mixup); last: whether it is the step's last part.
        Returns the part's loss, not yet divided, and its confusion matrix: (1 + classes²,), on the device.
        Raises UserError where batch norm would have a single point to learn from.
        """
        if len(batch.labels) * self.config.points_of_a_clip == 1:
            raise UserError(
                "a part of a step has one clip, of which the network sees one point of one frame: batch norm cannot "
                "take a deviation; give more --num-frames, a larger --image-size or another --batch-size"
            )
        with self._gradients_exchanged(last=last):
            scores = scores_of(self.model, batch, self.config, self.device, mix=mix)
            loss = self.objective.total(scores, batch.labels, mix)
            # DistributedDataParallel takes the mean over the processes, a step the sum over its parts.
            self.scaler.scale(loss * (self.world.size / weight)).backward()
        classes, counted = self.network.classes, batch.labels >= 0
        cells = batch.labels[counted] * classes + scores.clip.argmax(1)[counted]
        matrix = torch.bincount(cells, minlength=classes**2)
        return torch.cat([loss.detach().view(1), matrix.to(loss.dtype)])

    def _gradients_exchanged(self, *, last: bool) -> AbstractContextManager:
        """Processes meet once a step, at the last of its parts."""
        waits = isinstance(self.model, DistributedDataParallel) and not last
        return self.model.no_sync() if waits else nullcontext()

    def finish(self) -> None:
        """Take the step that the gradients ask for."""
        self.scaler.unscale_(self.optimiser)
        clip_gradients(self.network.parameters(), self.config.recipe.clip_norm)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        if self.averaged:
            self.averaged.update_parameters(self.network)

    def predicting(self) -> nn.Module:
        """The network that is judged: the average of the weights, where one is kept."""
        return self.averaged.module if self.averaged else self.network

    def state(self) -> dict[str, Any]:
        """All that it holds beside the weights that predict."""
        state = {"optimiser": self.optimiser.state_dict(), "scaler": self.scaler.state_dict()}
        if self.averaged:
            state["weights"] = self.network.state_dict()
            state["averaged"] = int(self.averaged.n_averaged)
        return state

    def restore(self, predicting: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Stand where another stood. predicting: the weights that predict; state: as `state` gave it, or more.

        Raises what Python and torch raise where they do not fit.
        """
        self.network.load_state_dict(state["weights"] if self.averaged else predicting)
        if self.averaged:
            self.averaged.module.load_state_dict(predicting)
            self.averaged.n_averaged.fill_(state["averaged"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
