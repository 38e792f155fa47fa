"""`train export`: a run's network as a file for other programs, checked against the network itself."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from dfer.schemas.support.errors import UserError
from dfer.schemas.support.files import write_atomic, writing
from dfer.schemas.support.text import command
from dfer.train.commands.evaluate import choose_clips
from dfer.train.config import TrainConfig
from dfer.train.data.caches import Pool, open_pool, usable
from dfer.train.engine import checkpoint
from dfer.train.engine.checkpoint import Checkpoint
from dfer.train.engine.experiment import read_origin
from dfer.train.engine.forward import predict_clips
from dfer.train.models.interface import ClipNetwork
from dfer.train.models.made_up import made_up_input
from dfer.train.results.run_folder import output_file, require_trained
from dfer.train.use import traced
from dfer.train.use.exported import (
    PACKAGES,
    SUFFIXES,
    AsNetwork,
    about,
    of_program,
    of_session,
    open_session,
    require_packages,
)
from dfer.train.use.extraction import differences
from dfer.train.use.network import extraction_of
from dfer.train.use.quantize import Quantized, quantized
from dfer.train.use.traced import Probabilities

CPU = torch.device("cpu")
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
    require_trained(run)
    own = f"{which}{SUFFIXES[quantize or file_format]}"
    path = out or run / own
    target = output_file(path, "--out", (SUFFIXES[file_format],))
    _refuse_other_kind(run, target, own)
    trained = _load(run, which)
    if file_format == "safetensors":
        _write(target, traced.as_safetensors(trained.network, trained.texts(False)))
        return Exported(path=path, frames=trained.frames, any_frames=None, check=None)
    pool = _pool(trained, folders)
    if quantize and pool is None:
        raise UserError(f"--quantize needs the clips of {run}, to measure what it costs; give --cache")
    content, any_frames, check = _traced(trained, file_format, pool)
    measured = None
    if quantize:
        split = choose_clips(pool, run, trained.saved.config.recipe, "test")
        content, measured = quantized(content, trained.network, trained.saved, split, pool)
    _write(target, content)
    return Exported(path=path, frames=trained.frames, any_frames=any_frames, check=check, quantized=measured)


def _refuse_other_kind(run: Path, target: Path, own: str) -> None:
    """Raise UserError if a run's file of another kind would get this name, by which `predict` finds it.

    own: name of the file that is to be written, in the run's folder
    """
    kinds = {f"{epoch}{suffix}": kind for epoch in ("last", "best") for kind, suffix in SUFFIXES.items()}
    if target.parent == run.resolve() and target.name != own and target.name in kinds:
        raise UserError(
            f"--out {target}: `train predict` looks for the {kinds[target.name]} file there; choose another name"
        )


def _write(target: Path, content: bytes) -> None:
    with writing(f"the file {target}"):
        write_atomic(target, content)


@dataclass(frozen=True, kw_only=True)
class _Trained:
    """A run's network after an epoch. file: its checkpoint"""

    run: Path
    file: Path
    saved: Checkpoint
    network: ClipNetwork

    @property
    def frames(self) -> int:
        return self.saved.config.data.num_frames

    def texts(self, any_frames: bool) -> dict[str, str]:
        """What its exported file says about it."""
        inputs = made_up_input(self.network, self.saved.config.network, 1, 1).tensors()
        return about(self.saved, self.file, tuple(inputs), any_frames).to_texts()


def _load(run: Path, which: str) -> _Trained:
    saved = checkpoint.load(run / f"{which}.pt")
    return _Trained(run=run, file=run / f"{which}.pt", saved=saved, network=checkpoint.restore(saved))


def _traced(trained: _Trained, file_format: str, pool: Pool | None) -> tuple[bytes, bool, Check]:
    """The content of a traced file, whether it takes any number of frames, and its check."""
    network = trained.network
    program, any_frames = traced.trace(network, trained.saved.config)
    texts = trained.texts(any_frames)
    if file_format == "onnx":
        content = traced.as_onnx(program, texts)
        other = of_session(open_session(content), network.classes)
    else:
        content, other = traced.as_program(program, texts), of_program(program, network.classes)
    check = compare(network, other, trained.saved.config, pool, any_frames)
    if not check.same_labels or check.difference > LARGEST:
        raise UserError(
            f"the {file_format} file gives other answers than {trained.run} (probabilities differ by up to "
            f"{check.difference:.2g}), so it is not written; --format safetensors always works"
        )
    return content, any_frames, check


def _pool(trained: _Trained, folders: Sequence[Path]) -> Pool | None:
    """The run's caches; None if they are gone and no other place is given.

    Raises UserError if they are no caches, or their crops or key-points are not those that the run was trained on.
    """
    where = list(folders) or [Path(folder) for folder in read_origin(trained.run)["caches"]]
    if not folders and not all(folder.is_dir() for folder in where):
        return None
    pool, points = open_pool(*where), trained.saved.keypoint_set
    for cache in pool.caches:
        other = differences(extraction_of(trained.saved), cache.info.settings)
        if cache.info.keypoint_set != points:
            other = f"it has the key-points {cache.info.keypoint_set}, the run {points}"
        if other:
            raise UserError(f"{cache.folder}: {other}; give the cache that {trained.run} was trained on")
    return pool


def compare(
    network: ClipNetwork, other: AsNetwork, config: TrainConfig, pool: Pool | None, any_frames: bool
) -> Check:
    """Compare on made-up clips of all shapes that are allowed and, if there is a pool, on clips of it."""
    count, pairs = config.data.num_frames, []
    for clips, frames in ((1, count), (4, count), *(((2, count + 1),) if any_frames else ())):
        given = made_up_input(network, config.network, clips, frames)
        with torch.no_grad():
            pairs.append((Probabilities(network)(**given.tensors()).numpy(), other(given).clip.exp().numpy()))
    real = usable(pool.clips) if pool else pl.DataFrame()
    real = real.sample(min(CHECKED, len(real)), seed=0)
    if len(real):
        few = _in_batches(config)
        pairs.append(tuple(predict_clips(each, pool, real, few, CPU) for each in (network, other)))
    compared = pairs[-1:] if len(real) else pairs  # of random pixels two classes may be as likely
    return Check(
        clips=len(real),
        difference=float(max(np.abs(a - b).max() for a, b in pairs)),
        same_labels=all((a.argmax(1) == b.argmax(1)).all() for a, b in compared),
    )


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
    if done.any_frames:
        said.append("takes any number of clips, of any number of frames")
    elif done.any_frames is False:
        said.append(f"takes any number of clips, of {done.frames} frames: the network takes no other number")
    if done.check:
        clips = f"{done.check.clips} clips" if done.check.clips else "made-up input"
        said.append(
            f"checked on {clips}: probabilities differ by up to {done.check.difference:.1e}, labels are the same"
        )
    if done.quantized:
        said += done.quantized.lines
    said.append(f"wrote {done.path}")
    return [*said, _next(done.path)]


def _next(file: Path) -> str:
    """What to do with a file."""
    if file.suffix == ".onnx":
        return f"next: {command('train', 'predict', file)} INPUT…"
    if file.suffix == SUFFIXES["torch"]:
        load = f"torch.export.load({str(file)!r}).module()"
    else:
        load = f"safetensors.torch.load_file({str(file)!r})"
    return f"next: in Python {load}; `train predict` takes the run's folder or an .onnx file"
