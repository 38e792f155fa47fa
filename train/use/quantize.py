"""An ONNX file with weights and activations of 8 bits, and what that costs and gives."""

import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import torch

from dfer.schemas.support.errors import UserError
from dfer.train.commands.evaluate import choose_clips
from dfer.train.config import TrainConfig
from dfer.train.data.caches import Pool, usable
from dfer.train.data.class_matching import match_classes, only_covered
from dfer.train.data.dataset import clip_dataset, in_batches, view_spec
from dfer.train.data.loader import Loader
from dfer.train.engine.checkpoint import Checkpoint
from dfer.train.engine.forward import network_input, predict_clips
from dfer.train.models.interface import NetworkInput
from dfer.train.results import metrics
from dfer.train.use.exported import OnnxSession
from dfer.train.use.traced import given_fields, quiet

CALIBRATED_ON = 32  # training clips whose activations set the ranges
ROUNDS = 15  # predictions of one clip by each file in turn
CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class Quantized:
    """An int8 file against the float32 file that it was made of.

    clips: test clips that both predicted
    war, uar: of the float32 file and of the int8 file, 0–1
    same_labels: share of the clips to which both give the same class
    speed: how many times as fast the int8 file predicts one clip, on this CPU
    size: of the int8 file, as a share of the other's
    """

    clips: int
    war: tuple[float, float]
    uar: tuple[float, float]
    same_labels: float
    speed: float
    size: float

    @property
    def lines(self) -> list[str]:
        """The figures for a person to read."""
        pairs = (("WAR", self.war), ("UAR", self.uar))
        accuracy = ", ".join(
            f"{name} {metrics.percent(b)} instead of {metrics.percent(a)}" for name, (a, b) in pairs
        )
        same = metrics.percent(self.same_labels)
        return [
            f"int8 on {self.clips} test clips: {accuracy}; {same} get the same label",
            f"int8 predicts a clip {self.speed:.2f} × as fast; its file has {metrics.percent(self.size)} of the size",
        ]


def quantized(content: bytes, saved: Checkpoint, run: Path, pool: Pool) -> tuple[bytes, Quantized]:
    """Quantize an ONNX file; ranges are those of activations on the run's training clips.

    content: the float32 file
    pool: the run's caches

    Returns the int8 file, and how it does on the run's test clips. Raises UserError if there are no such clips, or
    onnxruntime cannot quantize the network.
    """
    config = replace(saved.config, recipe=replace(saved.config.recipe, batch_size=1))
    split = choose_clips(pool, run, saved.config.recipe, "test")
    train = usable(split.train if len(split.train) else split.test)
    chosen = train.sample(min(CALIBRATED_ON, len(train)), seed=0)
    tested = usable(only_covered(match_classes(split.test, saved.labels).clips, saved.labels))
    if chosen.is_empty() or tested.is_empty():
        raise UserError(f"--quantize needs usable training and test clips, {run} has none in {pool.where}")
    batches = [*_inputs(pool, chosen, config)]
    smaller = _static(content, batches)
    files = [OnnxSession(each, len(saved.labels)) for each in (content, smaller)]
    shares = [predict_clips(each, pool, tested, config, CPU) for each in files]
    truth = np.array([saved.labels.index(label) for label in tested["label"]])
    matrices = [metrics.confusion(truth, each.argmax(1), len(saved.labels)) for each in shares]
    return smaller, Quantized(
        clips=len(tested),
        war=tuple(map(metrics.war, matrices)),
        uar=tuple(map(metrics.uar, matrices)),
        same_labels=float((shares[0].argmax(1) == shares[1].argmax(1)).mean()),
        speed=times_as_fast(*files, batches[0]),
        size=len(smaller) / len(content),
    )


@torch.inference_mode()
def times_as_fast(before: torch.nn.Module, after: torch.nn.Module, given: NetworkInput) -> float:
    """How many times as fast `after` is, by the median ratio of calls in turn."""
    ratios = []
    for _ in range(ROUNDS):
        seconds = []
        for network in (before, after):
            started = time.perf_counter()
            network(given)
            seconds.append(time.perf_counter() - started)
        ratios.append(seconds[0] / seconds[1])
    return statistics.median(ratios[1:])


def _inputs(pool: Pool, clips: pl.DataFrame, config: TrainConfig) -> Iterator[NetworkInput]:
    """Clips one by one, as the network takes them."""
    unlabelled = clips.with_columns(label=pl.lit(None, pl.String))
    loader = Loader(clip_dataset(pool, unlabelled, (), view_spec(config)), 0, CPU)
    for batch in loader.batches(in_batches(range(len(clips)), 1)):
        yield network_input(batch, config.data)


def _static(content: bytes, batches: list[NetworkInput]) -> bytes:
    """Quantize weights (one range a channel) and activations (ranges of these inputs)."""
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    taken = {each.name for each in OnnxSession(content, 0).session.get_inputs()}
    feeds = iter(
        [
            {name: value.numpy() for name, value in given_fields(each).items() if name in taken}
            for each in batches
        ]
    )

    class Reader:
        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(feeds, None)

    with tempfile.TemporaryDirectory(prefix="dfer-export-") as folder, quiet():
        plain, ready, done = (Path(folder) / f"{name}.onnx" for name in ("plain", "ready", "done"))
        plain.write_bytes(content)
        try:
            quant_pre_process(str(plain), str(ready), skip_symbolic_shape=True)
            quantize_static(
                *(str(ready), str(done), Reader()),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
                op_types_to_quantize=["Conv", "MatMul", "Gemm"],
            )
            return done.read_bytes()
        except Exception as error:
            raise UserError(f"onnxruntime cannot quantize this network: {type(error).__name__}") from error
