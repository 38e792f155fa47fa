"""`train benchmark`: clips per second and memory of networks on this machine, in training and inference.

Each measurement runs in its own process, so that its memory is measured separately and running out of it does not
end the others. Several networks run in turn with the first, repetition by repetition, so that what else the machine
does slows both. Clips are random pixels in memory; tests/benchmarks/feeding.py times reading a cache.
"""

import dataclasses
import itertools
import multiprocessing
import signal
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from dfer.schemas.support import processes
from dfer.schemas.support.errors import UserError
from dfer.train.commands.measurement import TASKS, Measurement, TimingError, Tried
from dfer.train.config import TrainConfig, config_from

MIN_REPETITIONS = 3  # however long one takes


def measure_models(
    configs: Mapping[str, TrainConfig],
    classes: int,
    batch_sizes: Sequence[int],
    device: str,
    seconds: float,
    *,
    tasks: Sequence[str] = TASKS,
    fastest: bool = False,
    compiles: bool = True,
) -> Iterator[Measurement]:
    """Measure each task at each batch size, one after the other, for each model.

    configs: names of the models, and their settings
    classes: number of classes
    batch_sizes: clips at once
    device: a name for `choose_device`
    seconds: how long each measurement repeats, at least
    fastest: whether to try other ways to run each, which `Measurement.tried` lists
    compiles: whether torch.compile is among them

    Raises UserError for a device or a precision that this machine does not support, and for a single network that
    cannot be trained with its settings.
    """
    for task, batch_size in itertools.product(tasks, batch_sizes):
        reference = None
        try:
            for name, config in configs.items():
                lane = _Lane(name, task, batch_size, device, alone=len(configs) == 1)
                reference = reference or lane
                try:
                    measured = lane.measure(config, classes, seconds, reference)
                    yield lane.with_other_ways(seconds, compiles=compiles) if fastest else measured
                finally:
                    if lane is not reference:
                        lane.close()
        finally:
            if reference:
                reference.close()


class _Lane:
    """A process with one network.

    alone: whether it is the only network, whose errors end the command
    """

    def __init__(self, model: str, task: str, batch_size: int, device: str, *, alone: bool) -> None:
        self.alone, self.device = alone, device
        self.measured = Measurement(model=model, task=task, batch_size=batch_size, device=device, threads=0)
        self.pool = ProcessPoolExecutor(
            1, multiprocessing.get_context("spawn"), initializer=processes.end_with_parent
        )
        self.works = False

    def close(self) -> None:
        self.pool.shutdown()

    def measure(self, config: TrainConfig, classes: int, seconds: float, reference: "_Lane") -> Measurement:
        """Measure the network, in turn with another, unless that is itself or failed."""
        try:
            device, threads = self._call(_start, config.to_dict(), classes, self.measured.task, self.device)
            self.measured = dataclasses.replace(self.measured, device=device, threads=threads)
            self._prepare()
            own, others = self._repeated(seconds, reference)
            # Turn by turn, since a machine's speed drifts.
            ratios = [other / mine for other, mine in zip(others, own, strict=False)]
            self.measured = dataclasses.replace(
                self.measured,
                clips_per_second=self.measured.batch_size / statistics.median(own),
                repetitions=len(own),
                memory=self._call(_memory),
                relative=statistics.median(ratios) if ratios else None,
            )
        except TimingError as failure:
            self.works = False
            self.measured = dataclasses.replace(self.measured, failure=str(failure))
        return self.measured

    def with_other_ways(self, seconds: float, *, compiles: bool) -> Measurement:
        """The measurement, with other ways to run the network if it runs at all."""
        if not self.works:
            return self.measured
        try:
            tried = tuple(self._call(_tried, seconds, compiles))
        except TimingError as failure:
            self.works = False
            tried = (Tried(way="the fastest way", failure=str(failure)),)
        return dataclasses.replace(self.measured, tried=tried)

    def _prepare(self) -> None:
        try:
            self._call(_prepare, self.measured.batch_size)
        except UserError as error:
            if self.alone:
                raise
            raise TimingError(str(error)) from None
        self.works = True

    def _repeated(self, seconds: float, reference: "_Lane") -> tuple[list[float], list[float]]:
        """Seconds of each repetition, and of those of the other network, if it works to the end."""
        own: list[float] = []
        others: list[float] = []
        while len(own) < MIN_REPETITIONS or sum(own) < seconds:
            if reference is not self and reference.works:
                try:
                    others.append(reference._call(_repeat))
                except TimingError:  # killed when both needed too much memory
                    reference.works = False
            own.append(self._call(_repeat))
        return own, others if reference.works else []

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function in the process. Raises what it raises, and TimingError if the process was killed."""
        try:
            with processes.safe_import_path(), processes.signals_blocked(*processes.STOP_SIGNALS):
                result = self.pool.submit(function, *arguments)
            signal.siginterrupt(signal.SIGINT, True)  # with polars' handler the wait would continue
            return result.result()
        except BrokenProcessPool:
            raise TimingError("its process was killed, probably out of memory") from None
        except KeyboardInterrupt:  # the pool would wait for the result
            for process in multiprocessing.active_children():
                process.kill()
            raise


_networks: list[Any] = []  # in a lane's process: its TimedNetwork


def _start(settings: dict[str, Any], classes: int, task: str, device: str) -> tuple[str, int]:
    """Take the settings as a mapping: the class of a user's own settings cannot be imported here by its name."""
    import torch

    from dfer.train.commands.timed_network import TimedNetwork

    config = config_from(settings, {}, origin="the benchmark's settings")
    _networks.append(TimedNetwork(config, classes, task, device))
    return _networks[0].device_name, torch.get_num_threads()


def _prepare(batch_size: int) -> None:
    _networks[0].prepare(batch_size)


def _repeat() -> float:
    return _networks[0].seconds()


def _memory() -> int:
    return _networks[0].memory()


def _tried(seconds: float, compiles: bool) -> list[Tried]:
    from dfer.train.commands.fastest import try_ways

    return list(try_ways(_networks[0], seconds, compiles=compiles))


def training_hours(clips_per_second: float, clips: int, epochs: int) -> float:
    """Hours of a training at this speed, without evaluation."""
    return clips * epochs / clips_per_second / 3600
