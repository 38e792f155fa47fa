"""A training step, or a prediction, of a network on random clips, timed in this process."""

import re
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from dfer.schemas.blendshapes import BLENDSHAPES
from dfer.schemas.keypoints import DLIB18, LANDMARKS
from dfer.schemas.support.errors import UserError
from dfer.train.commands.measurement import TRAINING, TimingError
from dfer.train.config import TrainConfig
from dfer.train.data.dataset import Batch
from dfer.train.engine.device import check_compiler, choose_device
from dfer.train.engine.forward import network_input, scores_of
from dfer.train.engine.learner import Learner
from dfer.train.engine.precision import check_precision
from dfer.train.models.fused import fused
from dfer.train.models.interface import ClipNetwork
from dfer.train.models.registry import build

Repetition = Callable[[], Tensor | None]  # a training step, or a prediction, which returns the scores


class TimedNetwork:
    """A network, and the batch that it is timed on.

    device, device_name: what it runs on
    """

    def __init__(self, config: TrainConfig, classes: int, task: str, device_name: str) -> None:
        """Raises UserError for a device that this machine does not have, or settings that it does not support."""
        self.config, self.classes, self.task = config, classes, task
        self.device = choose_device(device_name)
        check_machine(config, self.device)
        cuda = self.device.type == "cuda"
        self.device_name = torch.cuda.get_device_name(self.device) if cuda else self.device.type
        self.before = _peak_memory(self.device)

    def prepare(self, batch_size: int) -> None:
        """Make the batch and the network, and run it once. Raises TimingError, and UserError as training does."""
        with as_phrase():
            self.batch = random_batch(self.config, self.classes, batch_size, self.device)
            self.plain = self.repetition(self.config)
            self.plain()

    def repetition(self, config: TrainConfig, *, fuse: bool = False) -> Repetition:
        """Make what is timed, with other settings than its own.

        fuse: whether batch norm becomes part of the convolutions. Raises TimingError if none can
        """
        network = build(config.model, config.network, config.task(self.classes, DLIB18), config.recipe.seed)
        _give_statistics(network)
        if fuse:
            network, count = fused(network.to(self.device), network_input(self.batch, config.data))
            if not count:
                raise TimingError("no batch norm follows a convolution")
        learner = Learner(config, network, self.batch.labels.cpu().numpy(), self.device)

        @torch.inference_mode()
        def predict() -> Tensor:
            return scores_of(learner.model.eval(), self.batch, config, self.device).clip

        def step() -> None:
            learner.zero_grad()
            learner.accumulate(self.batch, len(self.batch.labels))
            learner.step()

        return step if self.task == TRAINING else predict

    def seconds(self, repeat: Repetition | None = None) -> float:
        """Seconds of one repetition, by default the plain one."""
        _synchronize(self.device)
        started = time.perf_counter()
        (repeat or self.plain)()
        _synchronize(self.device)
        return time.perf_counter() - started

    def memory(self) -> int:
        """Peak so far in bytes, without what torch needs anyway."""
        return _peak_memory(self.device) - self.before


@contextmanager
def as_phrase() -> Iterator[None]:
    """Turn what a network, torch or a compiler raises into TimingError; UserErrors pass."""
    try:
        yield
    except (TimingError, UserError):
        raise
    except Exception as error:
        text = str(error)
        lacks = isinstance(error, torch.OutOfMemoryError | MemoryError)
        if lacks or (isinstance(error, RuntimeError) and ("alloc" in text or "memory" in text)):
            raise TimingError("out of memory") from None
        first = next((line.strip() for line in text.splitlines() if line.strip()), "")
        raise TimingError(f"{type(error).__name__}: {first}") from None


def check_machine(config: TrainConfig, device: torch.device) -> None:
    """Raises UserError if the device does not support these settings."""
    check_precision(config.execution.precision, device)
    if config.execution.compile:
        check_compiler(device)


def random_batch(config: TrainConfig, classes: int, batch_size: int, device: torch.device) -> Batch:
    """Make a batch of random pixels as the loader would, on the device; its window has the network's input size."""
    data = config.data
    side = round(data.image_size / data.crop_fraction)
    random = torch.Generator().manual_seed(0)
    clips, shape = batch_size, (batch_size, data.num_frames)
    batch = Batch(
        frames=torch.randint(0, 256, (*shape, 3, side, side), dtype=torch.uint8, generator=random),
        keypoints=side * torch.rand(*shape, DLIB18.count, 2, generator=random),
        keypoint_flip=torch.tensor(DLIB18.flip),
        labels=torch.randint(0, classes, (clips,), generator=random),
        windows=torch.rand(clips, 2, generator=random, dtype=torch.float64),
        flips=torch.arange(clips) % 2 == 1,
        color_jitter=torch.ones(clips, 3),
        clips=torch.arange(clips),
        detected=torch.ones(shape, dtype=torch.bool),
        landmarks=side * torch.rand(*shape, LANDMARKS, 2, generator=random)
        if config.network.takes_landmarks
        else None,
        expressions=torch.rand(*shape, len(BLENDSHAPES), generator=random)
        if config.network.takes_expressions
        else None,
    )
    return batch.to(device)


def _give_statistics(network: ClipNetwork) -> None:
    """Statistics to batch norms as if they were trained: with the initial ones they do nothing."""
    random = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, _BatchNorm) and module.track_running_stats:
            for values, low, high in ((module.running_mean, -0.1, 0.1), (module.running_var, 0.8, 1.2)):
                values.uniform_(low, high, generator=random)


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _peak_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if device.type == "mps":
        return torch.mps.driver_allocated_memory()
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if sys.platform == "darwin":
        return resident  # bytes
    # Linux hands ru_maxrss on to new programs: after a large parent it would hide all that this process takes.
    own = re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return 1024 * (int(own[1]) if own else resident)
