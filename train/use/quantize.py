"""An ONNX file with weights and activations of 8 bits, and what that costs and gives.

Only static quantization: the ranges of activations are measured on clips. Dynamic quantization, which needs none, was
hardly faster than float32.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import torch

from dfer.schemas.support.errors import UserError
from dfer.schemas.support.files import writing
from dfer.schemas.support.text import counted
from dfer.train.config import TrainConfig
from dfer.train.data.caches import Pool, usable
from dfer.train.data.class_matching import match_classes, only_covered
from dfer.train.data.dataset import clip_dataset, in_batches, view_spec
from dfer.train.data.loader import Loader
from dfer.train.data.splits import Split
from dfer.train.engine.checkpoint import Checkpoint
from dfer.train.engine.forward import network_input, predict_clips
from dfer.train.models.interface import ClipNetwork, NetworkInput
from dfer.train.results import metrics
from dfer.train.use.exported import import_onnxruntime, of_session, open_session
from dfer.train.use.private_folder import private_folder
from dfer.train.use.traced import quiet

CALIBRATED_ON = 32  # training clips whose activations set the ranges
ROUNDS = 15  # predictions of one clip by each in turn
LOSS = 0.02  # of WAR or UAR, from which on int8 is called worse
CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class Quantized:
    """An int8 file next to the float32 file that it was made of, on labelled clips.

    clips: how many
    description: which they are
    war, uar: of the float32 file and of the int8 file, 0–1
    same_labels: share of the clips to which both give the same class
    speed: of the float32 file and of the int8 file: how many times as fast as the network in torch each predicts a
        clip, on this CPU
    size: of the int8 file, as a share of the other's
    """

    clips: int
    description: str
    war: tuple[float, float]
    uar: tuple[float, float]
    same_labels: float
    speed: tuple[float, float]
    size: float

    @property
    def lines(self) -> list[str]:
        """The figures for a person to read."""
        pairs = {"WAR": self.war, "UAR": self.uar}
        accuracy = ", ".join(
            f"{name} {metrics.percent(int8)}, float32 {metrics.percent(float32)}"
            for name, (float32, int8) in pairs.items()
        )
        said = [
            f"int8: {accuracy}; {metrics.percent(self.same_labels)} get the same label",
            f"measured on {counted(self.clips, 'clip')}: {self.description}",
            f"one clip on this CPU: int8 {self.speed[1]:.2f} × as fast as torch, float32 {self.speed[0]:.2f} ×; "
            f"the int8 file has {metrics.percent(self.size)} of the size",
        ]
        if any(float32 - int8 > LOSS for float32, int8 in pairs.values()):
            said.append("int8 is clearly worse here; without --quantize the file is as good as the network")
        return said


def quantized(
    content: bytes, network: ClipNetwork, saved: Checkpoint, split: Split, pool: Pool
) -> tuple[bytes, Quantized]:
    """Quantize an ONNX file; ranges are those of activations on training clips.

    content: the float32 file
    network, saved: that it was made of
    split: training clips and labelled test clips of the pool

    Returns the int8 file, and how it does on the test clips. Raises UserError if there are no such clips, or
    onnxruntime cannot quantize the network.
    """
    config = replace(saved.config, recipe=replace(saved.config.recipe, batch_size=1))
    train = usable(split.train if len(split.train) else split.test)
    chosen = train.sample(min(CALIBRATED_ON, len(train)), seed=0)
    tested = usable(only_covered(match_classes(split.test, saved.labels).clips, saved.labels))
    if chosen.is_empty() or tested.is_empty():
        raise UserError(f"--quantize needs usable clips to train and to test on; {pool.where} has none")
    examples = [*_inputs(pool, chosen, config)]
    smaller = as_int8(content, examples)
    files = [of_session(open_session(each), len(saved.labels)) for each in (content, smaller)]
    shares = [predict_clips(each, pool, tested, config, CPU) for each in files]
    truth = np.array([saved.labels.index(label) for label in tested["label"]])
    matrices = [metrics.confusion(truth, each.argmax(1), len(saved.labels)) for each in shares]
    return smaller, Quantized(
        clips=len(tested),
        description=split.description,
        war=tuple(map(metrics.war, matrices)),
        uar=tuple(map(metrics.uar, matrices)),
        same_labels=float((shares[0].argmax(1) == shares[1].argmax(1)).mean()),
        speed=times_as_fast(network, files, examples[0]),
        size=len(smaller) / len(content),
    )


@torch.inference_mode()
def times_as_fast(
    network: Callable[[NetworkInput], object],
    others: Sequence[Callable[[NetworkInput], object]],
    given: NetworkInput,
) -> tuple[float, ...]:
    """How many times as fast as a network others are.

    Medians of the ratios of calls in turn: a machine that changes its speed slows all of them.
    """
    rounds = [[_seconds(each, given) for each in (network, *others)] for _ in range(ROUNDS + 1)][1:]
    own, *theirs = zip(*rounds, strict=True)
    return tuple(statistics.median(a / b for a, b in zip(own, each, strict=True)) for each in theirs)


def as_int8(content: bytes, examples: Sequence[NetworkInput]) -> bytes:
    """Quantize the weights of an ONNX file (one range a channel) and its activations (the examples' ranges).

    Raises UserError if onnxruntime cannot.
    """
    import_onnxruntime()
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    taken = {each.name for each in open_session(content).get_inputs()}
    feeds = iter(
        [
            {name: value.numpy() for name, value in each.tensors().items() if name in taken}
            for each in examples
        ]
    )

    class Reader:
        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(feeds, None)

    with _temporary_folder() as folder, quiet():
        plain, ready, done = (folder / f"{name}.onnx" for name in ("plain", "ready", "done"))
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
        except OSError:
            raise  # such as a full disk
        except Exception as error:
            raise UserError(f"onnxruntime cannot quantize this network: {type(error).__name__}") from error


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    """A private folder for the block's own files and onnxruntime's. Raises UserError where it cannot be written."""
    before = tempfile.tempdir
    where = f"the temporary files in {tempfile.gettempdir()}"
    with writing(where, "another TMPDIR"), private_folder("dfer-export") as folder:
        tempfile.tempdir = str(folder)
        try:
            yield folder
        finally:
            tempfile.tempdir = before


def _inputs(pool: Pool, clips: pl.DataFrame, config: TrainConfig) -> Iterator[NetworkInput]:
    """Clips one by one, as the network takes them."""
    unlabelled = clips.with_columns(label=pl.lit(None, pl.String))
    loader = Loader(clip_dataset(pool, unlabelled, (), view_spec(config)), 0, CPU)
    for batch in loader.batches(in_batches(range(len(clips)), 1)):
        yield network_input(batch, config.data)


def _seconds(call: Callable[[NetworkInput], object], given: NetworkInput) -> float:
    started = time.perf_counter()
    call(given)
    return time.perf_counter() - started
