"""The networks by name, and networks of a user's own.

A model is named by a name of `MODELS`, by the name of an entry point of an installed package (group `dfer.models`),
or as FILE.py:CLASS.
"""

import dataclasses
import hashlib
import importlib
import sys
from importlib import metadata
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from dfer.schemas.support.errors import UserError
from dfer.schemas.support.settings import setting_fields
from dfer.train.models.keypoint.settings import KeypointSettings
from dfer.train.models.settings import NetworkSettings

if TYPE_CHECKING:
    from dfer.train.models.interface import ClipNetwork, Task

HERE = "dfer.train.models"
PAPER = "keypoint"
# name -> module and class below this folder
MODELS = {
    PAPER: "keypoint.network:KeypointNetwork",
    "resnet-average": "frames.resnet_average:ResNetAverage",
    "resnet-recurrent": "frames.resnet_recurrent:ResNetRecurrent",
    "densenet": "frames.densenet:DenseNetAverage",
    "vit": "frames.vit:VitFrames",
    "emotion-fan": "frames.emotion_fan:EmotionFan",
    "ceflnet": "frames.ceflnet:Ceflnet",
    "c3d": "volumes.c3d:C3D",
    "c3d-lstm": "volumes.c3d:C3DLSTM",
    "p3d": "volumes.p3d:P3D",
    "resnet3d-18": "volumes.resnet3d:ResNet3D18",
    "i3d": "volumes.i3d:I3D",
    "former-dfer": "transformers.former_dfer:FormerDfer",
    "nr-dfernet": "transformers.nr_dfernet:NrDferNet",
    "logo-former": "transformers.logo_former:LogoFormer",
    "stt": "transformers.stt:Stt",
    "est": "transformers.est:EST",
    "dpcnet": "transformers.dpcnet:Dpcnet",
    "estlnet": "transformers.estlnet:Estlnet",
    "t-esfl": "transformers.t_esfl:TESFL",
}
GROUP = "dfer.models"


class ModelError(UserError):
    """A model that cannot be found or loaded."""


def settings_class(model: str) -> type[NetworkSettings]:
    """The settings of a model. Raises ModelError as `network_class`."""
    return KeypointSettings if model == PAPER else network_class(model).Config


def network_class(model: str) -> "type[ClipNetwork]":
    """The class of a model. Raises ModelError if there is none of this name, or its file cannot be used."""
    if model in MODELS:
        module, name = MODELS[model].split(":")
        return getattr(importlib.import_module(f"{HERE}.{module}"), name)
    if ".py:" in model:
        path, name = model.rsplit(":", 1)
        return _checked(getattr(_module_of(Path(path)), name, None), model)
    return _checked(_installed(model), model)


def located(model: str) -> str:
    """A model's name with the absolute path of its file, if it is in one: so that it is found from anywhere."""
    if ".py:" not in model:
        return model
    path, name = model.rsplit(":", 1)
    return f"{Path(path).resolve()}:{name}"


def code_version(model: str) -> str | None:
    """What tells versions of a model's code apart: the hash of its file, or its package's name and version.

    Returns None for a model of this project. Raises ModelError if the file or the package is gone.
    """
    if model in MODELS:
        return None
    if ".py:" in model:
        return hashlib.sha256(_source(Path(model.rsplit(":", 1)[0]))).hexdigest()
    package = _entry_point(model).dist
    return package and f"{package.name} {package.version}"


def require_same_code(model: str, expected: str | None) -> None:
    """Raise ModelError unless a model's code has the version that it had."""
    found = code_version(model)
    if found != expected:
        what = (
            model.rsplit(":", 1)[0] if ".py:" in model else f"{model}, now of {found} instead of {expected},"
        )
        raise ModelError(f"{what} has changed since the network was trained with it; put that version back")


def build(model: str, settings: NetworkSettings, task: "Task", seed: int) -> "ClipNetwork":
    """Make a network whose initial weights depend on the seed alone. Raises ModelError as `network_class`."""
    import torch

    kind = network_class(model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = kind(settings, task) if model in MODELS else _of_user(kind, settings, task, model)
    classifier = kind.heads[0]
    if not any(name.startswith(classifier) for name, _ in network.named_parameters()):
        raise ModelError(
            f"--model {model}: no weight's name begins with {classifier!r}; name the classifier in `heads`"
        )
    return network


def _of_user(kind: "type[ClipNetwork]", settings: NetworkSettings, task: "Task", model: str) -> "ClipNetwork":
    """A network of a user's own, which scores clips. Raises ModelError for whatever is wrong with it."""
    from dfer.train.models.trial import try_out

    try:
        network = kind(settings, task)
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise ModelError(f"--model {model}: cannot be built: {type(error).__name__}: {error}") from error
    problem = try_out(network, settings)
    if problem:
        raise ModelError(f"--model {model}: {problem}")
    return network


def _checked(found: object, model: str) -> "type[ClipNetwork]":
    from dfer.train.models.interface import ClipNetwork

    if found is None and ".py:" in model:
        path, name = model.rsplit(":", 1)
        raise ModelError(f"--model {model}: {path} has no class {name}")
    if not (isinstance(found, type) and issubclass(found, ClipNetwork)):
        raise ModelError(f"--model {model}: not a class derived from dfer.train.models.interface.ClipNetwork")
    if not issubclass(getattr(found, "Config", object), NetworkSettings) or not hasattr(found, "source"):
        raise ModelError(f"--model {model}: needs `Config`, derived from NetworkSettings, and `source`")
    _require_flags(found.Config, model)
    return found


def _require_flags(kind: type[NetworkSettings], model: str) -> None:
    """Raise ModelError if a field of the settings would have no flag."""
    if any(isinstance(value, dataclasses.Field) for value in vars(kind).values()):
        raise ModelError(f"--model {model}: put @dataclass(frozen=True, kw_only=True) above {kind.__name__}")
    flags = setting_fields(kind)
    for field in dataclasses.fields(kind):
        if field not in flags:
            raise ModelError(
                f"--model {model}: {kind.__name__}.{field.name} has no flag; "
                f'write {field.name} = setting(DEFAULT, "what it is")'
            )


def _installed(model: str) -> object:
    """What an entry point of this name loads."""
    point = _entry_point(model)
    try:
        return point.load()
    except Exception as error:  # other people's code
        raise ModelError(f"--model {model}: {point.value} cannot be loaded: {error!r}") from error


def _entry_point(model: str) -> metadata.EntryPoint:
    points = {point.name: point for point in metadata.entry_points(group=GROUP)}
    if model not in points:
        known = ", ".join(sorted({*MODELS, *points}))
        raise ModelError(
            f"--model {model}: there is none of this name; give one of {known}, a preset, or FILE.py:CLASS"
        )
    return points[model]


def _module_of(path: Path) -> ModuleType:
    """Run a file as a module, once."""
    name = f"dfer_model_{hashlib.sha256(_source(path) + str(path.absolute()).encode()).hexdigest()[:16]}"
    if name not in sys.modules:
        spec = spec_from_file_location(name, path)
        module = sys.modules[name] = module_from_spec(spec)  # before it runs: dataclasses look it up
        try:
            spec.loader.exec_module(module)
        except (Exception, SystemExit) as error:  # other people's code
            del sys.modules[name]
            raise ModelError(f"--model: {path} cannot be run: {type(error).__name__}: {error}") from error
    return sys.modules[name]


def _source(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"--model: the file {path} cannot be read: {error.strerror}; correct the path, or put it back"
        ) from None
