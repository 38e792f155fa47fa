"""`train benchmark`: clips per second and memory of a network on this machine, in training and inference.

Each measurement runs in its own process, so that its memory is measured separately and running out of it does not
end the others. Clips are random pixels in memory; tests/benchmarks/feeding.py times reading a cache.
"""

import dataclasses
import multiprocessing
import re
import resource
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dfer.schemas.blendshapes import BLENDSHAPES
from dfer.schemas.keypoints import DLIB18, LANDMARKS
from dfer.schemas.support import processes
from dfer.train.config import TrainConfig

if TYPE_CHECKING:
    import torch

    from dfer.train.data.dataset import Batch

TRAINING, INFERENCE = "training", "inference"
TASKS = (TRAINING, INFERENCE)
MIN_REPETITIONS = 3  # however long one takes


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """The result of one task at one batch size.

    task: TRAINING or INFERENCE
    device, threads: what it ran on
    clips_per_second: of the median repetition
    memory: bytes, peak of the task without what torch needs anyway (resident on a CPU, allocated by torch on a GPU)
    failure: why there is no result, else None
    """

    task: str
    batch_size: int
    device: str
    threads: int
    clips_per_second: float | None = None
    repetitions: int = 0
    memory: int | None = None
    failure: str | None = None


def measure_all(
    config: TrainConfig, classes: int, batch_sizes: Sequence[int], device: str, seconds: float
) -> Iterator[Measurement]:
    """Measure each task at each batch size, one after the other.

    config: settings of the network and the recipe
    classes: number of classes
    batch_sizes: clips at once
    device: a name for `choose_device`
    seconds: how long each measurement repeats, at least

    Raises UserError for a device or a precision that this machine does not support.
    """
    for task in TASKS:
        for batch_size in batch_sizes:
            yield _measure_in_process(config, classes, task, batch_size, device, seconds)


def _measure_in_process(
    config: TrainConfig, classes: int, task: str, batch_size: int, device: str, seconds: float
) -> Measurement:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, initializer=processes.end_with_parent) as pool:
        try:
            with processes.safe_import_path(), processes.signals_blocked(*processes.STOP_SIGNALS):
                result = pool.submit(measure, config, classes, task, batch_size, device, seconds)
            signal.siginterrupt(signal.SIGINT, True)  # with polars' handler the wait would continue
            return result.result()
        except BrokenProcessPool:
            reason = "its process was killed, probably out of memory"
            return Measurement(task=task, batch_size=batch_size, device=device, threads=0, failure=reason)
        except KeyboardInterrupt:  # the pool would wait for the result
            for process in multiprocessing.active_children():
                process.kill()
            raise


def measure(
    config: TrainConfig, classes: int, task: str, batch_size: int, device_name: str, seconds: float
) -> Measurement:
    """Measure one task in this process, with arguments as of `measure_all`. Raises UserError as it does."""
    import torch

    from dfer.train.engine.device import check_compiler, choose_device
    from dfer.train.engine.precision import check_precision

    device = choose_device(device_name)
    check_precision(config.execution.precision, device)
    if config.execution.compile:
        check_compiler(device)
    measured = Measurement(
        task=task, batch_size=batch_size, device=_device_name(device), threads=torch.get_num_threads()
    )
    before = _peak_memory(device)
    try:
        batch = random_batch(config, classes, batch_size, device)
        times = _time_repetitions(_repetition(config, classes, task, batch, device), device, seconds)
    except (torch.OutOfMemoryError, MemoryError):
        return dataclasses.replace(measured, failure="out of memory")
    except RuntimeError as error:
        if "alloc" not in str(error) and "memory" not in str(error):
            raise
        return dataclasses.replace(measured, failure="out of memory")
    return dataclasses.replace(
        measured,
        clips_per_second=batch_size / statistics.median(times),
        repetitions=len(times),
        memory=_peak_memory(device) - before,
    )


def random_batch(config: TrainConfig, classes: int, batch_size: int, device: "torch.device") -> "Batch":
    """Make a batch of random pixels as the loader would, on the device; its window has the network's input size."""
    import torch

    from dfer.train.data.dataset import Batch

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


def _repetition(
    config: TrainConfig, classes: int, task: str, batch: "Batch", device: "torch.device"
) -> Callable[[], None]:
    """A function that runs one training step, or one prediction, on the batch."""
    import torch

    from dfer.train.engine.forward import scores_of
    from dfer.train.engine.learner import Learner
    from dfer.train.models.registry import build

    task = config.task(classes, DLIB18)
    network = build(config.model, config.network, task, config.recipe.seed)
    learner = Learner(config, network, batch.labels.cpu().numpy(), device)

    @torch.inference_mode()
    def predict() -> None:
        scores_of(learner.model.eval(), batch, config, device)

    def step() -> None:
        learner.zero_grad()
        learner.accumulate(batch, len(batch.labels))
        learner.step()

    return step if task == TRAINING else predict


def _time_repetitions(repeat: Callable[[], None], device: "torch.device", seconds: float) -> list[float]:
    """Seconds of each repetition, after a warm-up."""
    times: list[float] = []
    repeat()
    _synchronize(device)
    while len(times) < MIN_REPETITIONS or sum(times) < seconds:
        started = time.perf_counter()
        repeat()
        _synchronize(device)
        times.append(time.perf_counter() - started)
    return times


def _synchronize(device: "torch.device") -> None:
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _peak_memory(device: "torch.device") -> int:
    import torch

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


def _device_name(device: "torch.device") -> str:
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def training_hours(clips_per_second: float, clips: int, epochs: int) -> float:
    """Hours of a training at this speed, without evaluation."""
    return clips * epochs / clips_per_second / 3600
