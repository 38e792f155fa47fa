"""What an exported file says about its network, and an ONNX file as a `Model`."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dfer.schemas.blendshapes import BLENDSHAPES
from dfer.schemas.keypoints import KEYPOINT_SETS
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.files import file_sha256
from dfer.schemas.support.settings import setting
from dfer.schemas.support.text import counted
from dfer.train.config import DataConfig, RecipeConfig, TrainConfig
from dfer.train.data.augment import MEAN, STD
from dfer.train.engine.checkpoint import Checkpoint
from dfer.train.engine.forward import batch_size
from dfer.train.models.interface import NetworkInput, Scores
from dfer.train.models.settings import NetworkSettings
from dfer.train.results.run_folder import require_trained
from dfer.train.use.network import RUN_OR_FILE, NetworkModel, extraction_of

FORMAT = "dfer-keypoints export 1"
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
SUFFIXES = {"onnx": ".onnx", "int8": ".int8.onnx", "torch": ".pt2", "safetensors": ".safetensors"}


def require_packages(*names: str) -> None:
    """Raise UserError unless these packages of the extra `export` are installed. Does not import them."""
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise UserError(f"ONNX needs {', '.join(missing)}, an extra: pip install '.[export]'")


@dataclass(frozen=True, kw_only=True)
class About:
    """What is stored in an exported file.

    format: FORMAT
    model, epochs: name of the network, and how many epochs it was trained for
    labels: class names, in the order of the outputs
    inputs: names of what the network takes, as the fields of `NetworkInput`
    frames: number of frames of a clip
    any_frames: whether another number of frames can be given
    preprocessing: how the crop of a face becomes an input
    keypoints: the key-point set: sources in dlib's 68 points, regions, mirrored order, and edges of the graph
    expression_scores: names of the 52 scores, in order; empty if the network takes none
    extraction: the settings that its clips were extracted with; None if they are unknown
    batch_size: how many clips to predict at a time
    checkpoint: sha256 of the checkpoint that it was made of
    """

    format: str = FORMAT
    model: str
    epochs: int
    labels: tuple[str, ...]
    inputs: tuple[str, ...]
    frames: int
    any_frames: bool
    preprocessing: Mapping[str, Any]
    keypoints: Mapping[str, Any]
    expression_scores: tuple[str, ...]
    extraction: Mapping[str, Any] | None
    batch_size: int
    checkpoint: str

    def to_texts(self) -> dict[str, str]:
        """As the text pairs that the formats store: the name of a field → its value as JSON."""
        return {name: json.dumps(value, ensure_ascii=False) for name, value in asdict(self).items()}

    @classmethod
    def from_texts(cls, texts: Mapping[str, str]) -> "About":
        """Read `to_texts`. Raises KeyError, TypeError or ValueError if it is something else."""
        values = {name: json.loads(texts[name]) for name in cls.__dataclass_fields__}
        if values["format"] != FORMAT:
            raise ValueError(values["format"])
        lists = {name: tuple(values[name]) for name in ("labels", "inputs", "expression_scores")}
        return cls(**{**values, **lists})

    @property
    def fault(self) -> str | None:
        """What is wrong with it; None if nothing."""
        if not all(isinstance(label, str) and label for label in self.labels):
            return "a label is no text"
        if len(set(self.labels)) < len(self.labels):
            return "two labels are the same"
        if not isinstance(self.extraction, Mapping | None):
            return "extraction is no table of settings"
        return None


def about(saved: Checkpoint, file: Path, inputs: tuple[str, ...], any_frames: bool) -> About:
    """Describe a network. file: of its checkpoint"""
    data = saved.config.data
    points = KEYPOINT_SETS[saved.keypoint_set]
    return About(
        model=saved.config.model,
        epochs=saved.epoch,
        labels=saved.labels,
        inputs=inputs,
        frames=data.num_frames,
        any_frames=any_frames,
        preprocessing={
            "crop_fraction": data.crop_fraction,
            "window": "centre",
            "image_size": data.image_size,
            "resize": "bilinear, anti-aliased",
            "channels": "RGB",
            "mean": MEAN,
            "std": STD,
            "scale": 1 / 255,
        },
        keypoints={
            name: getattr(points, name) for name in ("name", "sources", "labels", "regions", "flip", "edges")
        },
        expression_scores=BLENDSHAPES if "expressions" in inputs else (),
        extraction=extraction_of(saved),
        batch_size=batch_size(saved.config),
        checkpoint=file_sha256(file),
    )


@dataclass(frozen=True, kw_only=True)
class Taken(NetworkSettings):
    """What a network takes, without its other settings."""

    takes_landmarks: bool = setting(False, "the 68 points")
    takes_expressions: bool = setting(False, "MediaPipe's expression scores")


class AsNetwork(nn.Module):
    """A function that gives probabilities, in the place of a network. Its scores are log probabilities."""

    class_shift = None  # it is part of the function

    def __init__(self, probabilities: Callable[[NetworkInput], Tensor], classes: int) -> None:
        """probabilities: B clips → (B, classes) float32, on the CPU"""
        super().__init__()
        self._probabilities, self.classes = probabilities, classes

    def forward(self, given: NetworkInput) -> Scores:
        return Scores(self._probabilities(given).clamp(min=torch.finfo(torch.float32).tiny).log())


def of_session(session: Any, classes: int) -> AsNetwork:
    """An ONNX session in the place of its network."""
    names = [each.name for each in session.get_inputs()]

    def probabilities(given: NetworkInput) -> Tensor:
        (shares,) = session.run(
            ["probabilities"], {name: getattr(given, name).cpu().numpy() for name in names}
        )
        return torch.from_numpy(shares)

    return AsNetwork(probabilities, classes)


def of_program(program: Any, classes: int) -> AsNetwork:
    """A program of torch.export in the place of its network."""
    module = program.module()
    return AsNetwork(lambda given: module(**given.tensors()), classes)


def import_onnxruntime() -> Any:
    """Import onnxruntime with its telemetry off, which writes to the home folder, unless the user wants it."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime


def open_session(file: Path | bytes) -> Any:
    """Open an ONNX file, or its content, with as many threads as torch uses."""
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # what is wrong is raised too
    source = file if isinstance(file, bytes) else str(file)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def exported_network(given: Path, which: str, runtime: str, loader_workers: int) -> NetworkModel:
    """Open an .onnx file, or that of a run, which must be of the run's epoch `which`. It computes on the CPU.

    runtime: `onnx` or `int8`, which of the run's files
    loader_workers: processes that decode JPEGs

    Raises UserError if it is something else, or of another checkpoint, or onnxruntime is missing.
    """
    if given.suffix == ".onnx" and not given.is_dir():
        if not given.is_file():
            raise UserError(f"no file {given}; make it with `train export RUN --out {given}`")
        if which == "best":
            raise UserError(f"{given} has one epoch of its run; leave out --checkpoint best")
        return _open(given, None, loader_workers)
    require_trained(given, RUN_OR_FILE)
    file = given / f"{which}{SUFFIXES[runtime]}"
    if not file.is_file():
        flags = (" --quantize int8" * (runtime == "int8"), " --checkpoint best" * (which == "best"))
        raise UserError(f"no file {file}; make it with `train export {given}{''.join(flags)}`")
    return _open(file, given / f"{which}.pt", loader_workers)


def _open(file: Path, made_of: Path | None, loader_workers: int) -> NetworkModel:
    """Open an .onnx file. made_of: the checkpoint that it must have been made of; None: any"""
    require_packages("onnxruntime")
    try:
        session = open_session(file)
        said = About.from_texts(session.get_modelmeta().custom_metadata_map)
        config, keypoints = _config_of(said), KEYPOINT_SETS[said.keypoints["name"]]
        fault = said.fault or _unlike(said, session)
    except Exception as error:  # onnxruntime raises many kinds for a damaged file
        fault = str(error) if isinstance(error, UserError) else type(error).__name__
    if fault:
        raise UserError(
            f"{file} is damaged, or not written by `train export` ({fault}); call `train export` again"
        )
    if made_of and file_sha256(made_of) != said.checkpoint:
        raise UserError(f"{file} was made of another {made_of.name}; call `train export` again")
    return NetworkModel(
        name=str(file),
        labels=said.labels,
        keypoints=keypoints,
        extraction=said.extraction,
        network=of_session(session, len(said.labels)),
        config=config,
        device=torch.device("cpu"),
        loader_workers=loader_workers,
    )


def _unlike(said: About, session: Any) -> str | None:
    """How a file differs from what it says; None if it does not."""
    (output,) = session.get_outputs()
    classes = output.shape[-1]
    if len(said.labels) != classes:
        return f"{counted(len(said.labels), 'label')} for {classes} classes"
    if unknown := {each.name for each in session.get_inputs()} - set(said.inputs):
        return f"it takes {min(unknown)}, which its description lacks"
    given = next(each.shape for each in session.get_inputs() if each.name == "frames")  # (B, N, 3, H, W)
    side = said.preprocessing["image_size"]
    described = (given[0], given[1] if said.any_frames else said.frames, 3, side, side)
    if tuple(given) != described:
        return f"it takes other frames than {said.frames} of {side} px"
    return None


def _config_of(about: About) -> TrainConfig:
    """The settings that decide what is read of a clip, and how."""
    return TrainConfig(
        model=about.model,
        network=Taken(
            takes_landmarks="landmarks" in about.inputs, takes_expressions="expressions" in about.inputs
        ),
        data=DataConfig(
            num_frames=about.frames,
            image_size=about.preprocessing["image_size"],
            crop_fraction=about.preprocessing["crop_fraction"],
        ),
        recipe=RecipeConfig(batch_size=about.batch_size),
    )
