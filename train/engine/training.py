"""A network in training: its learner, its data, and how far it is. One step is one call.

Where a training stands is (epoch, samples consumed of it); what a step does is decided by that, the settings and the
weights alone, so that a training restored from a checkpoint goes on to the same weights.
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
from dfer.train.data.dataset import Batch, Request, clip_dataset, in_batches, view_spec
from dfer.train.data.loader import Loader
from dfer.train.data.sampling import Augmentation, balanced_order, epoch_order, mixing_weight, parts_of, steps
from dfer.train.data.splits import Split
from dfer.train.engine import distributed
from dfer.train.engine.checkpoint import Checkpoint
from dfer.train.engine.distributed import World
from dfer.train.engine.forward import batch_size, predict
from dfer.train.engine.learner import Learner
from dfer.train.engine.optim import learning_rate, set_learning_rate
from dfer.train.models.keypoint.network import DferNetwork
from dfer.train.results.figures import Figures, compute_figures
from dfer.train.results.predictions import prediction_table


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
    """A learner and its data.

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
        """split: with something to learn (`require_lesson`); network: as it starts, trained on these files before."""
        self.config, self.device, self.split, self.world = config, device, split, world or World()
        self.labels = pool.labels
        self.clips, self.test_clips = usable(split.train), usable(split.test)
        self.majority = (
            self.clips["label"].value_counts().sort("count", "label", descending=[True, False])["label"][0]
        )
        self.trained_on = {*trained_before, *fingerprints(self.clips)["fingerprint"]}
        recipe, data = config.recipe, config.data
        torch.manual_seed(recipe.seed)
        augmentation = Augmentation(
            seed=recipe.seed, frames=data.num_frames, flip=data.flip, colour=data.color_jitter
        )
        self.loader = self._loader(pool, self.clips, loader_workers, augmentation)
        # A split that was seen has the same clips: the same worker processes serve both.
        self.test_loader = (
            self.loader if split.seen else self._loader(pool, self.test_clips, loader_workers, None)
        )
        self.class_numbers = self.loader.dataset.labels  # (clips,)
        self.learner = Learner(config, network, self.class_numbers, device, self.world)
        self.epoch = self.consumed = 0
        self.totals = self._nothing()

    def _loader(
        self, pool: Pool, clips: pl.DataFrame, workers: int, augmentation: Augmentation | None
    ) -> Loader:
        sight = view_spec(self.config, augmentation)
        dataset = clip_dataset(pool, clips, self.labels, sight)
        return Loader(dataset, workers, self.device)

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
            set_learning_rate(self.learner.optimiser, learning_rate(recipe, progress))
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
        recipe, parts = self.config.recipe, len(self._parts(step))
        weight, waiting = self.learner.objective.weight(labels), 0.0
        mix = mixing_weight(recipe.mixup, recipe.seed, self.epoch, step.start) if recipe.mixup else 1.0
        sums = torch.zeros(1 + len(self.labels) ** 2, device=self.device)  # loss, then the confusion matrix
        clips: list[int] = []
        self.learner.begin()
        for part in range(parts):
            asked = time.perf_counter()
            batch = next(batches)
            waiting += time.perf_counter() - asked
            sums += self.learner.add(batch.to(self.device), weight, mix=mix, last=part == parts - 1)
            clips += batch.clips[batch.labels >= 0].tolist()
        sums = distributed.summed(sums.cpu().double(), self.world)  # the step's one wait for the device
        if not torch.isfinite(sums[0]):
            self._stop_for_the_loss(sums[0].item(), clips)
        self.learner.finish()
        matrix = sums[1:].numpy().astype(np.int64).reshape(len(self.labels), -1)
        return Totals(matrix=matrix, loss=sums[0].item(), weight=weight, waiting=waiting)

    def _stop_for_the_loss(self, loss: float, clips: list[int]) -> None:
        everywhere = itertools.chain.from_iterable(distributed.gathered(clips, self.world))
        ids = ", ".join(self.loader.dataset.ids(list(everywhere)))
        narrow = self.config.execution.precision != "float32"
        advice = "--clip-norm 1, or --precision float32" if narrow else "or --clip-norm 1"
        raise UserError(
            f"the loss is {loss} in epoch {self.epoch} at the clips {ids}; try a smaller --learning-rate, {advice}"
        )

    def test(self, on_batch: Callable[[], None] = lambda: None) -> tuple[pl.DataFrame, Figures]:
        """The predictions for the split's test part as the network is now, and their figures.

        on_batch: called after each batch, as often in every process.
        """
        network, size = self.learner.predicting(), self.world.size
        distributed.share_buffers(network, self.world)
        mine = range(self.world.rank, len(self.test_clips), size)
        at_once = batch_size(self.config, size)
        plan = in_batches(mine, at_once)
        part = predict(network, self.test_loader, plan, self.config, self.device, on_batch)
        most = math.ceil(len(self.test_clips) / size)
        for _ in range(math.ceil(most / at_once) - math.ceil(len(mine) / at_once)):
            on_batch()
        probabilities = np.zeros((len(self.test_clips), len(self.labels)), np.float32)
        for rank, found in enumerate(distributed.gathered(part, self.world)):
            probabilities[rank :: self.world.size] = found
        table = prediction_table(self.split.test, probabilities, self.labels, self.majority)
        return table, compute_figures(table, self.labels)

    def close(self) -> None:
        """End the processes that read its data; it cannot go on after that."""
        self.loader.close()
        self.test_loader.close()

    def checkpoint(self) -> Checkpoint:
        """All there is to keep."""
        state = {
            **self.learner.state(),
            "totals": {**dataclasses.asdict(self.totals), "matrix": self.totals.matrix.tolist()},
            "random": torch.get_rng_state(),
            "threads": torch.get_num_threads(),
            "processes": self.world.size,
        }
        return Checkpoint(
            config=self.config,
            keypoint_set=self.learner.network.keypoints.name,
            labels=self.labels,
            majority=self.majority,
            epoch=self.epoch,
            consumed=self.consumed,
            model=self.learner.predicting().state_dict(),
            state=state,
            trained_on=sorted(self.trained_on),
        )

    def restore(self, kept: Checkpoint) -> None:
        """Stand where a checkpoint of the same settings and clips stood. Raises UserError where it does not fit."""
        state: Mapping[str, Any] = kept.state
        try:
            self.learner.restore(kept.model, state)
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
