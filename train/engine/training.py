"""A network in training: its learner, its data, and its position.

The position is (epoch, samples consumed of it). A step depends only on the position, the settings and the learner's
state, so a training restored from a checkpoint ends with the same weights as one that was never stopped: bit for bit
on the same kind of CPU with the same number of threads and processes.
"""

import dataclasses
import itertools
import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch

from dfer.schemas.support.errors import UserError
from dfer.train.config import TrainConfig
from dfer.train.data.caches import Pool, fingerprints, usable
from dfer.train.data.class_matching import most_frequent
from dfer.train.data.dataset import Batch, Request, clip_dataset, in_batches, view_spec
from dfer.train.data.loader import Loader
from dfer.train.data.sampling import (
    Augmentation,
    balanced_order,
    epoch_order,
    mixing_weight,
    parts_of,
    step_seed,
    steps,
)
from dfer.train.data.splits import Split
from dfer.train.engine import distributed
from dfer.train.engine.checkpoint import Checkpoint
from dfer.train.engine.distributed import World
from dfer.train.engine.forward import batch_size, predict, refuse_nan
from dfer.train.engine.learner import Learner
from dfer.train.engine.optim import learning_rate, set_learning_rate
from dfer.train.models.interface import ClipNetwork
from dfer.train.results.figures import Figures, compute_figures
from dfer.train.results.predictions import prediction_table


@dataclass(frozen=True, kw_only=True)
class Totals:
    """Sums over steps of an epoch, in all processes.

    matrix: (classes, classes) confusion matrix of the training predictions of labelled clips
    clips: number of clips, labelled or not
    loss: sum of the loss, to be divided by `weight`
    seconds: duration
    waiting: seconds of it that this process waited for data
    """

    matrix: np.ndarray
    clips: int = 0
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
        return self.clips / self.seconds if self.seconds else 0.0

    @property
    def waiting_share(self) -> float:
        return self.waiting / self.seconds if self.seconds else 0.0


class Training:
    """A learner, its data and its position.

    epoch, consumed: epochs done, and samples done of the current one
    totals: of the current epoch's steps so far
    trained_on: fingerprints of all files that the weights were trained on, including before this run
    """

    def __init__(
        self,
        config: TrainConfig,
        pool: Pool,
        split: Split,
        device: torch.device,
        network: ClipNetwork,
        *,
        world: World | None = None,
        loader_workers: int = 0,
        pretrained_on: Collection[str] = (),
        loaded: Collection[str] = (),
    ) -> None:
        """Start a training.

        pool: the caches
        split: of the pool's clips; see `require_trainable`
        network: with its initial weights
        pretrained_on: fingerprints of the files that these were trained on
        loaded: names of the weights that come from elsewhere, for their learning rate
        """
        self.config, self.device, self.split, self.world = config, device, split, world or World()
        self.labels, self.keypoint_set = pool.labels, pool.keypoints.name
        self.clips, self.test_clips = usable(split.train), usable(split.test)
        self.majority = most_frequent(self.clips)
        self.trained_on = {*pretrained_on, *fingerprints(self.clips)["fingerprint"]}
        recipe, data = config.recipe, config.data
        augmentation = Augmentation(
            seed=recipe.seed, frames=data.num_frames, flip=data.flip, color_jitter=data.color_jitter
        )
        self.loader = self._loader(pool, self.clips, loader_workers, augmentation)
        # When testing on exactly the training clips, use the same worker processes.
        same = split.seen and len(self.test_clips) == len(self.clips)
        self.test_loader = self.loader if same else self._loader(pool, self.test_clips, loader_workers, None)
        dataset = self.loader.dataset
        self.class_numbers = dataset.labels  # (clips,)
        self.truth = dataset.labels if dataset.targets is None else dataset.targets
        self.loaded = tuple(loaded)
        self.learner = Learner(config, network, self.truth, device, self.world, self.loaded)
        self.epoch = self.consumed = 0
        self.totals = self._no_totals()

    def _loader(
        self, pool: Pool, clips: pl.DataFrame, workers: int, augmentation: Augmentation | None
    ) -> Loader:
        dataset = clip_dataset(pool, clips, self.labels, view_spec(self.config, augmentation))
        return Loader(dataset, workers, self.device)

    def _no_totals(self) -> Totals:
        return Totals(matrix=np.zeros((len(self.labels), len(self.labels)), np.int64))

    def steps(self) -> Iterator[Totals]:
        """Take the remaining steps of the epoch, yielding the totals of each. A checkpoint may be made after each.

        Raises UserError, with the clips' ids, if the loss is NaN or infinite.
        """
        recipe = self.config.recipe
        order = self._order()
        todo = list(steps(len(order), recipe.batch_size, self.consumed))
        batches = self.loader.batches(self._requests(order, todo))
        started = time.perf_counter()
        for step in todo:
            epoch_fraction = self.epoch + step.start / len(order)
            set_learning_rate(self.learner.optimiser, learning_rate(recipe, epoch_fraction))
            taken = self._step(step, self.truth[order[step.start : step.stop]], batches)
            taken = dataclasses.replace(taken, seconds=time.perf_counter() - started)
            self.consumed, self.totals = step.stop, self.totals + taken
            yield taken
            started = time.perf_counter()  # the caller's time in between does not count

    def next_epoch(self) -> None:
        """Move to the start of the next epoch, after the last step of one."""
        self.epoch, self.consumed, self.totals = self.epoch + 1, 0, self._no_totals()

    def _order(self) -> np.ndarray:
        seed = self.config.recipe.seed
        if self.config.recipe.sampling == "balanced":
            return balanced_order(self.class_numbers, seed, self.epoch)
        return epoch_order(len(self.clips), seed, self.epoch)

    def _requests(self, order: np.ndarray, todo: list[range]) -> Iterator[list[Request]]:
        """Request this process's parts of each step; for an empty part, one clip that does not count."""
        for step in todo:
            for samples in self._parts(step):
                requests = [Request(int(order[s]), self.epoch, s) for s in samples]
                yield requests or [Request(int(order[step.start]), self.epoch, step.start, counts=False)]

    def _parts(self, step: range) -> list[range]:
        return parts_of(step, self.world.rank, self.world.size, self.config.execution.accumulate)

    def _step(self, step: range, truth: np.ndarray, batches: Iterator[Batch]) -> Totals:
        """Take one step, with all processes' parts. truth: of the samples of the entire step (see `objective`)."""
        recipe, parts = self.config.recipe, len(self._parts(step))
        weight, waiting = self.learner.objective.weight(truth), 0.0
        mix = mixing_weight(recipe.mixup, recipe.seed, self.epoch, step.start) if recipe.mixup else 1.0
        sums = torch.zeros(1 + len(self.labels) ** 2, device=self.device)  # loss, then the confusion matrix
        clips: list[int] = []
        torch.manual_seed(step_seed(recipe.seed, self.epoch, step.start, self.world.rank))  # on every device
        self.learner.zero_grad()
        for part in range(parts):
            before = time.perf_counter()
            batch = next(batches)
            waiting += time.perf_counter() - before
            sums += self.learner.accumulate(batch.to(self.device), weight, mix=mix, last=part == parts - 1)
            clips += batch.clips[batch.counted].tolist()
        sums = distributed.summed(sums.cpu().double(), self.world)  # the only wait for the device in a step
        if not torch.isfinite(sums[0]):
            self._refuse_loss(sums[0].item(), clips)
        self.learner.step()
        matrix = sums[1:].numpy().astype(np.int64).reshape(len(self.labels), -1)
        return Totals(matrix=matrix, clips=len(step), loss=sums[0].item(), weight=weight, waiting=waiting)

    def _refuse_loss(self, loss: float, clips: list[int]) -> None:
        of_all = itertools.chain.from_iterable(distributed.gathered(clips, self.world))
        ids = ", ".join(self.loader.dataset.ids(list(of_all)))
        narrow = self.config.execution.precision != "float32"
        advice = "--clip-norm 1, or --precision float32" if narrow else "or --clip-norm 1"
        where = f"in epoch {self.epoch + 1}, clips {ids}"
        with distributed.agreed(self.world):
            raise UserError(f"the loss is {loss} {where}; try a smaller --learning-rate, {advice}")

    def test(self, on_batch: Callable[[], None] = lambda: None) -> tuple[pl.DataFrame, Figures]:
        """Predict the split's test part with the current network.

        on_batch: called after each batch, equally often in every process, so that it may wait for the others

        Returns the prediction table and its figures. Raises UserError if the network's scores are NaN.
        """
        network, size = self.learner.predicting(), self.world.size
        distributed.share_buffers(network, self.world)
        mine = range(self.world.rank, len(self.test_clips), size)
        at_once = batch_size(self.config, size)
        plan = in_batches(mine, at_once)
        part = predict(network, self.test_loader, plan, self.config, self.device, on_batch)
        most = math.ceil(len(self.test_clips) / size)  # clips of the process that has most
        for _ in range(math.ceil(most / at_once) - math.ceil(len(mine) / at_once)):
            on_batch()
        probabilities = np.zeros((len(self.test_clips), len(self.labels)), np.float32)
        for rank, found in enumerate(distributed.gathered(part, self.world)):
            probabilities[rank :: self.world.size] = found
        with distributed.agreed(self.world):
            refuse_nan(probabilities)
        table = prediction_table(self.split.test, probabilities, self.labels, self.majority)
        return table, compute_figures(table, self.labels)

    def close(self) -> None:
        """End the worker processes that load its data; it cannot be continued after that."""
        self.loader.close()
        self.test_loader.close()

    def checkpoint(self) -> Checkpoint:
        """Everything needed to resume, except the figures of epochs and the origin, which the run adds."""
        state = {
            **self.learner.state(),
            "totals": {**dataclasses.asdict(self.totals), "matrix": self.totals.matrix.tolist()},
            "threads": torch.get_num_threads(),
            "processes": self.world.size,
            "loaded": [*self.loaded],
        }
        return Checkpoint(
            config=self.config,
            keypoint_set=self.keypoint_set,
            labels=self.labels,
            majority=self.majority,
            epoch=self.epoch,
            consumed=self.consumed,
            model=self.learner.predicting().state_dict(),
            state=state,
            trained_on=sorted(self.trained_on),
        )

    def restore(self, saved: Checkpoint) -> None:
        """Continue from a checkpoint with the same settings and clips. Raises UserError if it does not fit."""
        state: Mapping[str, Any] = saved.state
        try:
            self.learner.restore(saved.model, state)
            totals = {**state["totals"], "matrix": np.array(state["totals"]["matrix"], np.int64)}
            self.totals = Totals(**totals)
            int(state["threads"]), int(state["processes"])
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError):
            raise UserError("the checkpoint is damaged: its state does not fit its settings") from None
        starts = range(0, len(self.clips), self.config.recipe.batch_size)
        if saved.consumed not in (*starts, len(self.clips)):
            raise UserError("the checkpoint is damaged: it is not at a step boundary")
        self.epoch, self.consumed = saved.epoch, saved.consumed
        self.trained_on |= {*saved.trained_on}
