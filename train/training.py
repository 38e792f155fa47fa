"""A network in training: its optimiser, its data, and how far it is. One step is one call.

Where a training stands is (epoch, samples consumed of it); what a step does is decided by that, the settings and the
weights alone, so that a training restored from a checkpoint goes on to the same weights.
"""

import dataclasses
import functools
import itertools
import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch
from torch.nn.parallel import DistributedDataParallel

from schemas.errors import UserError
from schemas.text import counted
from train import distributed, evaluate
from train.averaging import averaged_copy
from train.checkpoint import Checkpoint
from train.config import TrainConfig
from train.distributed import World
from train.loader import Batch, Loader, Request, in_batches
from train.model.network import DferNetwork
from train.objective import objective
from train.optimise import clip_gradients, learning_rate, make_optimiser, set_learning_rate
from train.precision import autocast, gradient_scaler
from train.predictions import prediction_table
from train.sampling import Augmentation, balanced_order, epoch_order, mixing_weight, parts_of, steps
from train.shards import Pool, fingerprints, usable
from train.splits import Split


@dataclass(frozen=True, kw_only=True)
class Totals:
    """What the steps of an epoch add up to, over all processes. loss: a sum that `weight` divides;
    matrix: (classes, classes) of the training predictions; seconds of them waiting for data: this process's own."""

    matrix: np.ndarray
    loss: float = 0.0
    weight: float = 0.0
    seconds: float = 0.0
    waiting: float = 0.0

    def __add__(self, other: "Totals") -> "Totals":
        names = [field.name for field in dataclasses.fields(self)]
        return Totals(**{name: getattr(self, name) + getattr(other, name) for name in names})

    @property
    def mean_loss(self) -> float:
        return self.loss / self.weight if self.weight else float("nan")

    @property
    def clips_per_second(self) -> float:
        return float(self.matrix.sum()) / self.seconds if self.seconds else 0.0

    @property
    def waiting_share(self) -> float:
        return self.waiting / self.seconds if self.seconds else 0.0


class Training:
    """A network, its optimiser and its data. `loop.run` is what most callers want.

    epoch, consumed: how far it is; totals: what the epoch's steps added up to so far; trained_on: fingerprints of the
    files that the weights were trained on, those of their start included.
    """

    def __init__(
        self,
        config: TrainConfig,
        pool: Pool,
        split: Split,
        device: torch.device,
        network: DferNetwork,
        *,
        world: World | None = None,
        loader_workers: int = 0,
        trained_before: Collection[str] = (),
    ) -> None:
        """network: as it starts, trained on these files before. Raises UserError where no training clip is usable."""
        self.config, self.device, self.split, self.world = config, device, split, world or World()
        self.labels = pool.labels
        self.clips, self.test_clips = usable(split.train), usable(split.test)
        if self.clips.is_empty():
            raise UserError(
                f"{pool.where}: none of the {counted(len(split.train), 'training clip')} is usable"
            )
        if self.clips["label"].n_unique() < 2:
            raise UserError(
                f"{pool.where}: all {len(self.clips)} usable training clips are {self.clips['label'][0]!r}: "
                "there is nothing to tell apart"
            )
        self.majority = (
            self.clips["label"].value_counts().sort("count", "label", descending=[True, False])["label"][0]
        )
        self.trained_on = {*trained_before, *fingerprints(self.clips)["fingerprint"]}
        recipe, data = config.recipe, config.data
        torch.manual_seed(recipe.seed)
        augmentation = Augmentation(
            seed=recipe.seed, frames=data.num_frames, flip=data.flip, colour=data.colour
        )
        self.loader = self._loader(pool, self.clips, loader_workers, augmentation)
        # A split that was seen has the same clips: the same worker processes serve both.
        self.test_loader = (
            self.loader if split.seen else self._loader(pool, self.test_clips, loader_workers, None)
        )
        self.class_numbers = self.loader.dataset.labels  # (clips,)
        self.objective = objective(recipe, self.class_numbers, len(self.labels), device)
        network = network.to(device)
        if config.execution.channels_last:
            network = network.to(memory_format=torch.channels_last)
        self.network = network
        self.averaged = averaged_copy(network, recipe.ema_decay) if recipe.ema_decay else None
        self.optimiser = make_optimiser(network, recipe)
        self.scaler = gradient_scaler(config.execution.precision, device)
        self.epoch = self.consumed = 0
        self.totals = self._nothing()

    def _loader(
        self, pool: Pool, clips: pl.DataFrame, workers: int, augmentation: Augmentation | None
    ) -> Loader:
        sight = evaluate.sight_of(self.config, augmentation)
        dataset = evaluate.clip_dataset(pool, clips, self.labels, sight)
        return Loader(dataset, workers, self.device)

    @functools.cached_property
    def model(self) -> torch.nn.Module:
        """The network as the steps call it: compiled, and with its gradients averaged over the processes, which meet
        here for the first time: the first one's weights are all others' from now on."""
        if self.config.execution.compile:
            self.network.compile()
        if self.world.size == 1:
            return self.network
        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(self.network, device_ids=devices)

    def _nothing(self) -> Totals:
        return Totals(matrix=np.zeros((len(self.labels), len(self.labels)), np.int64))

    def steps(self) -> Iterator[Totals]:
        """Take what is left of the epoch's steps; what each came to. The state after each may be kept.

        Raises UserError, naming the clips, where the loss is not a number.
        """
        recipe = self.config.recipe
        order = self._order()
        todo = list(steps(len(order), recipe.batch_size, self.consumed))
        batches = self.loader.batches(self._requests(order, todo))
        started = time.perf_counter()
        for step in todo:
            progress = self.epoch + step.start / len(order)
            set_learning_rate(self.optimiser, learning_rate(recipe, progress))
            taken = self._step(step, self.class_numbers[order[step.start : step.stop]], batches)
            taken = dataclasses.replace(taken, seconds=time.perf_counter() - started)
            self.consumed, self.totals = step.stop, self.totals + taken
            yield taken
            started = time.perf_counter()  # what the caller did meanwhile is not training

    def next_epoch(self) -> None:
        """After an epoch's last step: stand at the start of the next."""
        self.epoch, self.consumed, self.totals = self.epoch + 1, 0, self._nothing()

    def _order(self) -> np.ndarray:
        seed = self.config.recipe.seed
        if self.config.recipe.sampling == "balanced":
            return balanced_order(self.class_numbers, seed, self.epoch)
        return epoch_order(len(self.clips), seed, self.epoch)

    def _requests(self, order: np.ndarray, todo: list[range]) -> Iterator[list[Request]]:
        """This process's parts of each step. Where a short step leaves none, a clip that does not count."""
        for step in todo:
            for samples in self._parts(step):
                asked = [Request(int(order[s]), self.epoch, s) for s in samples]
                yield asked or [Request(int(order[step.start]), self.epoch, step.start, counts=False)]

    def _parts(self, step: range) -> list[range]:
        return parts_of(step, self.world.rank, self.world.size, self.config.execution.accumulate)

    def _step(self, step: range, labels: np.ndarray, batches: Iterator[Batch]) -> Totals:
        """One step over all processes' parts of it. labels: (samples,) of the whole step."""
        recipe = self.config.recipe
        self.model.train()
        self.optimiser.zero_grad(set_to_none=True)
        weight, waiting = self.objective.weight(labels), 0.0
        mix = mixing_weight(recipe.mixup, recipe.seed, self.epoch, step.start) if recipe.mixup else 1.0
        sums = torch.zeros(1 + len(self.labels) ** 2, device=self.device)  # loss, then the confusion matrix
        clips: list[int] = []
        parts = len(self._parts(step))
        for part in range(parts):
            asked = time.perf_counter()
            batch = next(batches)
            waiting += time.perf_counter() - asked
            with self._gradients_exchanged(last=part == parts - 1):
                sums += self._backward(batch.to(self.device), weight, mix)
            clips += batch.clips[batch.labels >= 0].tolist()
        sums = distributed.summed(sums.cpu().double(), self.world)  # the step's one wait for the device
        if not torch.isfinite(sums[0]):
            self._stop_for_the_loss(sums[0].item(), clips)
        self.scaler.unscale_(self.optimiser)
        clip_gradients(self.network.parameters(), recipe.clip_norm)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        if self.averaged:
            self.averaged.update_parameters(self.network)
        matrix = sums[1:].numpy().astype(np.int64).reshape(len(self.labels), -1)
        return Totals(matrix=matrix, loss=sums[0].item(), weight=weight, waiting=waiting)

    def _gradients_exchanged(self, *, last: bool) -> AbstractContextManager:
        """Processes meet once a step, at the last of its parts."""
        waits = isinstance(self.model, DistributedDataParallel) and not last
        return self.model.no_sync() if waits else nullcontext()

    def _backward(self, batch: Batch, weight: float, mix: float) -> torch.Tensor:
        """Add a part's gradients; its loss and its confusion matrix, (1 + classes²,) on the device."""
        with autocast(self.config.execution.precision, self.device):
            scores = self.model(*evaluate.network_input(batch, self.config.data), mix=mix)
        loss = self.objective.total(scores, batch.labels, mix)
        # DistributedDataParallel takes the mean over the processes, a step the sum over its parts.
        self.scaler.scale(loss * (self.world.size / weight)).backward()
        counted = batch.labels >= 0
        cells = batch.labels[counted] * len(self.labels) + scores.clip.argmax(1)[counted]
        matrix = torch.bincount(cells, minlength=len(self.labels) ** 2)
        return torch.cat([loss.detach().view(1), matrix.to(loss.dtype)])

    def _stop_for_the_loss(self, loss: float, clips: list[int]) -> None:
        everywhere = itertools.chain.from_iterable(distributed.gathered(clips, self.world))
        ids = ", ".join(self.loader.dataset.ids(list(everywhere)))
        narrow = self.config.execution.precision != "float32"
        advice = "--clip-norm 1, or --precision float32" if narrow else "or --clip-norm 1"
        raise UserError(
            f"the loss is {loss} in epoch {self.epoch} at the clips {ids}; try a smaller --learning-rate, {advice}"
        )

    def predicting(self) -> torch.nn.Module:
        """The network that is judged: the average of the weights, where one is kept."""
        return self.averaged.module if self.averaged else self.network

    def test(self, on_batch: Callable[[], None] = lambda: None) -> tuple[pl.DataFrame, evaluate.Figures]:
        """The predictions for the split's test part as the network is now, and their figures.

        on_batch: called after each batch, as often in every process.
        """
        network, size = self.predicting(), self.world.size
        distributed.share_buffers(network, self.world)
        mine = range(self.world.rank, len(self.test_clips), size)
        batch_size = evaluate.batch_size(self.config, size)
        plan = in_batches(mine, batch_size)
        part = evaluate.predict(network, self.test_loader, plan, self.config, self.device, on_batch)
        most = math.ceil(len(self.test_clips) / size)
        for _ in range(math.ceil(most / batch_size) - math.ceil(len(mine) / batch_size)):
            on_batch()
        probabilities = np.zeros((len(self.test_clips), len(self.labels)), np.float32)
        for rank, found in enumerate(distributed.gathered(part, self.world)):
            probabilities[rank :: self.world.size] = found
        table = prediction_table(self.split.test, probabilities, self.labels, self.majority)
        return table, evaluate.judge(table, self.labels)

    def close(self) -> None:
        """End the processes that read its data; it cannot go on after that."""
        self.loader.close()
        self.test_loader.close()

    def checkpoint(self) -> Checkpoint:
        """All there is to keep."""
        state = {
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "totals": {**dataclasses.asdict(self.totals), "matrix": self.totals.matrix.tolist()},
            "random": torch.get_rng_state(),
            "threads": torch.get_num_threads(),
            "processes": self.world.size,
        }
        if self.averaged:
            state["weights"] = self.network.state_dict()
            state["averaged"] = int(self.averaged.n_averaged)
        return Checkpoint(
            config=self.config,
            labels=self.labels,
            majority=self.majority,
            epoch=self.epoch,
            consumed=self.consumed,
            model=self.predicting().state_dict(),
            state=state,
            trained_on=sorted(self.trained_on),
        )

    def restore(self, kept: Checkpoint) -> None:
        """Stand where a checkpoint of the same settings and clips stood. Raises UserError where it does not fit."""
        state: Mapping[str, Any] = kept.state
        try:
            self.network.load_state_dict(state["weights"] if self.averaged else kept.model)
            if self.averaged:
                self.averaged.module.load_state_dict(kept.model)
                self.averaged.n_averaged.fill_(state["averaged"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.scaler.load_state_dict(state["scaler"])
            totals = {**state["totals"], "matrix": np.array(state["totals"]["matrix"], np.int64)}
            self.totals = Totals(**totals)
            torch.set_rng_state(state["random"])
            int(state["threads"])
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError):
            raise UserError("the checkpoint is damaged: it does not hold what its settings need") from None
        starts = range(0, len(self.clips), self.config.recipe.batch_size)
        if kept.consumed not in (*starts, len(self.clips)):
            raise UserError("the checkpoint is damaged: it does not stand between two steps of its epoch")
        self.epoch, self.consumed = kept.epoch, kept.consumed
        self.trained_on |= {*kept.trained_on}
