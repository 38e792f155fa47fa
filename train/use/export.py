"""`train export`: a run's network as a file for other programs, checked against the network itself."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from dfer.schemas.support.errors import UserError
from dfer.schemas.support.files import write_atomic
from dfer.schemas.support.text import command
from dfer.train.commands.evaluate import choose_clips
from dfer.train.config import TrainConfig
from dfer.train.data.caches import Pool, open_pool, usable
from dfer.train.engine import checkpoint
from dfer.train.engine.checkpoint import Checkpoint
from dfer.train.engine.experiment import read_origin
from dfer.train.engine.forward import predict_clips
from dfer.train.models.interface import ClipNetwork, NetworkInput
from dfer.train.results.run_folder import output_file, require_run
from dfer.train.use import traced
from dfer.train.use.exported import PACKAGES, OnnxSession, about, require_packages
from dfer.train.use.quantize import Quantized, quantized
from dfer.train.use.traced import Probabilities, given_fields, made_up_input

SUFFIXES = {"onnx": ".onnx", "torch": ".pt2", "safetensors": ".safetensors"}
CHECKED = 32  # clips at most
BATCH = 3  # clips that are checked at a time: the last batch is smaller
LARGEST = 1e-3  # difference of probabilities that rounding explains


@dataclass(frozen=True, kw_only=True)
class Check:
    """A file against the network that it was made of.

    clips: how many were predicted by both; 0: made-up input
    difference: the largest of two probabilities
    same_labels: whether the most probable classes are the same
    """

    clips: int
    difference: float
    same_labels: bool


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written.

    path: the file
    any_frames: whether it takes any number of frames; None for weights alone
    check: None for weights alone
    quantized: accuracy and speed of int8 weights; None without
    """

    path: Path
    frames: int
    any_frames: bool | None
    check: Check | None
    quantized: Quantized | None = None


def export_run(
    run: Path,
    *,
    file_format: str = "onnx",
    which: str = "last",
    out: Path | None = None,
    folders: Sequence[Path] = (),
    quantize: str | None = None,
) -> Exported:
    """Write the network of a run to a file.

    run: the run's folder
    file_format: `onnx`, `torch` (a program for `torch.export.load`) or `safetensors` (weights alone)
    which: `last` or `best`, the network's epoch
    out: the file; by default it is in the run's folder, named after the epoch
    folders: of the run's caches; if empty, where they were when it was trained
    quantize: `int8` for weights of 8 bits

    Raises UserError for a run that cannot be used, a network that cannot be exported, a file that differs from it, or
    a package that is missing.
    """
    if file_format == "onnx":
        require_packages(*PACKAGES)
    elif quantize:
        raise UserError(f"--quantize {quantize} needs --format onnx")
    if not run.is_dir():
        raise UserError(f"no such run: {run}; make it with `train run CACHE --out {run}`")
    require_run(run)
    suffix = SUFFIXES[file_format]
    middle = f".{quantize}" if quantize else ""
    target = output_file(out or run / f"{which}{middle}{suffix}", "--out", (suffix,))
    file = run / f"{which}.pt"
    saved = checkpoint.load(file)
    network = checkpoint.restore(saved)
    if file_format == "safetensors":
        inputs = tuple(given_fields(made_up_input(network, saved.config, 1, 1)))
        texts = about(saved, file, inputs, False).to_texts()
        write_atomic(target, traced.as_safetensors(network, texts))
        return Exported(path=target, frames=saved.config.data.num_frames, any_frames=None, check=None)
    return _traced(network, saved, run, which, file_format, target, _pool(run, folders), quantize)


def _traced(
    network: ClipNetwork,
    saved: Checkpoint,
    run: Path,
    which: str,
    file_format: str,
    target: Path,
    pool: Pool | None,
    quantize: str | None,
) -> Exported:
    """Write a traced network, if it gives the network's answers. Raises UserError as `export_run`."""
    program, any_frames = traced.trace(network, saved.config)
    inputs = tuple(given_fields(made_up_input(network, saved.config, 1, 1)))
    texts = about(saved, run / f"{which}.pt", inputs, any_frames).to_texts()
    content = traced.as_onnx(program, texts) if file_format == "onnx" else traced.as_program(program, texts)
    other = OnnxSession(content, len(saved.labels)) if file_format == "onnx" else program.module()
    check = _check(network, other, saved, pool, run, any_frames)
    if not check.same_labels or check.difference > LARGEST:
        raise UserError(
            f"the {file_format} file gives other answers than {run} (probabilities differ by up to "
            f"{check.difference:.2g}), so it is not written; --format safetensors always works"
        )
    measured = None
    if quantize:
        if pool is None:
            raise UserError(f"--quantize needs the clips of {run}, to measure what it costs; give --cache")
        content, measured = quantized(content, saved, run, pool)
    write_atomic(target, content)
    return Exported(
        path=target,
        frames=saved.config.data.num_frames,
        any_frames=any_frames,
        check=check,
        quantized=measured,
    )


def _pool(run: Path, folders: Sequence[Path]) -> Pool | None:
    """The run's caches; None if they are gone and no other place is given."""
    where = list(folders) or [Path(folder) for folder in read_origin(run)["caches"]]
    if not folders and not all(folder.is_dir() for folder in where):
        return None
    return open_pool(*where)


def _check(
    network: ClipNetwork, other: Any, saved: Checkpoint, pool: Pool | None, run: Path, any_frames: bool
) -> Check:
    """Compare on made-up clips of all shapes that are allowed and, if there are any, on clips of the run."""
    config, eager = saved.config, Probabilities(network)
    count = config.data.num_frames
    pairs = []
    for clips, frames in ((1, count), (4, count), *(((2, count + 1),) if any_frames else ())):
        given = made_up_input(network, config, clips, frames)
        with torch.no_grad():
            pairs.append((eager(**given_fields(given)).numpy(), _shares(other, given)))
    real = pl.DataFrame() if pool is None else usable(choose_clips(pool, run, config.recipe, "test").test)
    real = real.head(CHECKED)
    if pool is not None and len(real) and isinstance(other, OnnxSession):
        plain = _in_batches(config)
        device = torch.device("cpu")
        pairs.append(tuple(predict_clips(each, pool, real, plain, device) for each in (network, other)))
    compared = pairs[-1:] if len(real) else pairs  # of random pixels two classes may be as likely
    return Check(
        clips=len(real) if isinstance(other, OnnxSession) else 0,
        difference=float(max(np.abs(a - b).max() for a, b in pairs)),
        same_labels=all((a.argmax(1) == b.argmax(1)).all() for a, b in compared),
    )


def _shares(other: Any, given: NetworkInput) -> np.ndarray:
    if isinstance(other, OnnxSession):
        return other(given).clip.exp().numpy()
    with torch.no_grad():
        return other(**given_fields(given)).numpy()


def _in_batches(config: TrainConfig) -> TrainConfig:
    """The same settings, in float32 and with few clips at a time."""
    recipe = replace(config.recipe, batch_size=BATCH)
    return replace(
        config, recipe=recipe, execution=replace(config.execution, precision="float32", accumulate=1)
    )


def as_dict(done: Exported) -> dict[str, Any]:
    """An export for JSON."""
    return {**asdict(done), "path": str(done.path)}


def lines(done: Exported) -> list[str]:
    """What a person reads of an export."""
    said = []
    if done.any_frames is False:
        said.append(f"clips must have {done.frames} frames: the network takes no other number")
    if done.check:
        clips = f"{done.check.clips} clips" if done.check.clips else "made-up input"
        said.append(
            f"checked on {clips}: probabilities differ by up to {done.check.difference:.1e}, labels are the same"
        )
    if done.quantized:
        said += done.quantized.lines
    said.append(f"wrote {done.path}")
    if done.path.suffix == ".onnx":
        said.append(f"next: {command('train', 'predict', done.path)} INPUT…")
    return said
