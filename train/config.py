"""The settings of a run: frozen dataclasses, read from a preset's TOML and overridden by flags.

A field's `help` is its documentation and the text of its flag; its limits are checked wherever it comes from.
"""

import dataclasses
import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

from dfer.schemas.support.errors import UserError

PRESETS = Path(__file__).parent / "presets"


def setting(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """A dataclass field with its documentation and its limits (inclusive)."""
    metadata = {"help": help, "low": low, "high": high, "choices": choices}
    return dataclasses.field(default=default, metadata=metadata)


class _Section:
    """Checks every field against its limits when a section is made. Raises UserError naming the flag."""

    def __post_init__(self) -> None:
        kinds = get_type_hints(type(self))
        for field in dataclasses.fields(self):
            value = _convert(getattr(self, field.name), kinds[field.name], flag(field.name))
            _check_limits(value, field.metadata, flag(field.name))
            object.__setattr__(self, field.name, value)


@dataclass(frozen=True, kw_only=True)
class NetworkConfig(_Section):
    """Which parts the network has."""

    stage_strides: tuple[int, ...] = setting(
        (1, 2, 1, 1), "strides of ResNet-18's four stages", low=1, high=2
    )
    heatmap_sigma: float = setting(0.1, "sigma of the key-point maps, shares of the crop", low=0.001, high=10)
    heatmap_scale: str = setting("mean", "scale of the key-point maps", choices=("mean", "peak"))
    graph: str = setting(
        "messages",
        "key-point graph: with messages, its linear layer alone, or none of it",
        choices=("messages", "layer", "none"),
    )
    fusion: str = setting(
        "structure",
        "fusion of a frame's vectors; `global` takes the whole face's alone and needs a graph without messages",
        choices=("structure", "mean", "lstm", "global"),
    )
    expression_scores: str = setting(
        "off",
        "MediaPipe's scores beside the frame's vector; `auto`: where the cache has them",
        choices=("off", "auto", "on"),
    )
    temporal: str = setting("transformer", "temporal part", choices=("transformer", "lstm", "mean"))
    depth: int = setting(3, "transformer blocks", low=1, high=100)
    heads: int = setting(8, "attention heads", low=1, high=100)
    head_dim: int = setting(64, "width of an attention head", low=1, high=4096)
    mlp_width: int = setting(768, "width of the transformer's MLP", low=1, high=65536)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.stage_strides) != 4:
            raise UserError(f"--stage-strides {_flag_value(self.stage_strides)}: four numbers are needed")
        if self.fusion == "global" and self.graph == "messages":
            raise UserError("--fusion global: no key-point takes part; add --graph layer or --graph none")


@dataclass(frozen=True, kw_only=True)
class DataConfig(_Section):
    """What the network sees of a clip."""

    num_frames: int = setting(16, "frames of a clip that the network sees", low=1, high=1000)
    image_size: int = setting(112, "side of the network's input, pixels", low=16, high=1024)
    crop_fraction: float = setting(0.875, "side of the window in the stored crop", low=0.1, high=1)
    flip: bool = setting(True, "mirror half of the training clips")
    colour: float = setting(
        0.0, "largest random change of a training clip's brightness, contrast and saturation", low=0, high=1
    )


@dataclass(frozen=True, kw_only=True)
class RecipeConfig(_Section):
    """How the network is trained. The defaults are the paper's: Adam with steps, and nothing else."""

    epochs: int = setting(80, "passes over the training clips", low=1, high=1_000_000)
    batch_size: int = setting(64, "clips in a step, over all processes", low=1, high=65536)
    optimiser: str = setting("adam", "optimiser", choices=("adam", "adamw", "sgd"))
    learning_rate: float = setting(1e-3, "step size at the start", low=0, high=10)
    betas: tuple[float, ...] = setting((0.9, 0.99), "Adam's beta 1 and 2", low=0, high=0.999999)
    momentum: float = setting(0.9, "momentum of SGD", low=0, high=0.999999)
    weight_decay: float = setting(0.0, "weight decay of matrices and convolutions", low=0, high=10)
    schedule: str = setting("steps", "how the step size falls", choices=("steps", "cosine"))
    milestones: tuple[int, ...] = setting((40, 60), "epochs after which `steps` shrinks the step size", low=1)
    decay: float = setting(0.1, "factor of the step size at each milestone", low=0, high=1)
    warmup_epochs: float = setting(0.0, "epochs in which the step size grows", low=0, high=1000)
    frame_weight: float = setting(0.2, "lambda: weight of the loss over the mean of frames", low=0, high=1)
    label_smoothing: float = setting(0.0, "share of a label given to all classes", low=0, high=1)
    class_weights: str = setting("none", "weights of the classes in the loss", choices=("none", "inverse"))
    sampling: str = setting("shuffled", "how an epoch's clips are drawn", choices=("shuffled", "balanced"))
    mixup: float = setting(0.0, "alpha of mixup between the clips' frame vectors; 0: none", low=0, high=10)
    clip_norm: float = setting(0.0, "largest norm of the gradients; 0: any", low=0, high=1e6)
    ema_decay: float = setting(
        0.0, "decay of the moving average of the weights, which then predicts; 0: none", low=0, high=0.999999
    )
    seed: int = setting(0, "seed of weights, order and augmentation", low=0, high=2**31 - 1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.betas) != 2:
            raise UserError(f"--betas {_flag_value(self.betas)}: two numbers are needed")


@dataclass(frozen=True, kw_only=True)
class ExecutionConfig(_Section):
    """How a step is computed."""

    accumulate: int = setting(1, "parts in which a process computes its share of a step", low=1, high=65536)
    precision: str = setting(
        "float32",
        "number format of the network's products (autocast)",
        choices=("float32", "bfloat16", "float16"),
    )
    channels_last: bool = setting(False, "store pictures with the channels last")
    compile: bool = setting(False, "compile the network (torch.compile)")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """All settings of a run."""

    network: NetworkConfig = dataclasses.field(default_factory=NetworkConfig)
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    recipe: RecipeConfig = dataclasses.field(default_factory=RecipeConfig)
    execution: ExecutionConfig = dataclasses.field(default_factory=ExecutionConfig)

    def to_toml(self) -> str:
        """The settings as a preset file, which `load_config` reads back to the same."""
        lines = []
        for section in dataclasses.fields(self):
            lines.append(f"[{section.name}]")
            values = dataclasses.asdict(getattr(self, section.name))
            # TOML writes these kinds of values (numbers, strings, booleans, lists) as JSON does.
            lines += [f"{name} = {json.dumps(value)}" for name, value in values.items()]
            lines.append("")
        return "\n".join(lines)

    @property
    def points_of_a_clip(self) -> int:
        """Of how many points of a clip batch norm takes a deviation in the network's last map."""
        side = math.ceil(self.data.image_size / (4 * math.prod(self.network.stage_strides)))  # 4: the stem's
        return self.data.num_frames * side**2

    @property
    def warning(self) -> str | None:
        """What is likely not meant, in a line."""
        if self.recipe.class_weights == "inverse" and self.recipe.sampling == "balanced":
            return "warning: --class-weights inverse and --sampling balanced: rare classes are favoured twice"
        return None

    def settled(self, scores: bool) -> "TrainConfig":
        """The same with `expression_scores = "auto"` decided: on where there are scores."""
        if self.network.expression_scores != "auto":
            return self
        network = dataclasses.replace(self.network, expression_scores="on" if scores else "off")
        return dataclasses.replace(self, network=network)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        return dataclasses.asdict(self)


SECTIONS: dict[str, type[_Section]] = {
    "network": NetworkConfig,
    "data": DataConfig,
    "recipe": RecipeConfig,
    "execution": ExecutionConfig,
}


def preset_names() -> list[str]:
    """The presets that come with the program."""
    return sorted(path.stem for path in PRESETS.glob("*.toml"))


def load_config(preset: str, overrides: Mapping[str, Any] | None = None) -> TrainConfig:
    """A preset by name or by its TOML file, with single fields overridden.

    Raises UserError for a preset that is not there, is not TOML, or has unknown fields or values.
    """
    path = Path(preset) if preset.endswith(".toml") else PRESETS / f"{preset}.toml"
    try:
        content = tomllib.loads(path.read_text())
    except FileNotFoundError:
        known = ", ".join(preset_names())
        raise UserError(f"no preset {preset}: give one of {known}, or a .toml file") from None
    except (ValueError, RecursionError) as error:  # what is no TOML, no UTF-8, or no number that Python reads
        raise UserError(f"{path} is not TOML: {error}") from None
    return config_from(content, overrides or {}, origin=str(path))


def preset_note(preset: str) -> str | None:
    """What a preset that comes with the program says of itself to whoever trains with it."""
    path = PRESETS / f"{preset}.toml"
    return tomllib.loads(path.read_text()).get("note") if path.is_file() else None


def config_from(content: Mapping[str, Any], overrides: Mapping[str, Any], *, origin: str) -> TrainConfig:
    """Settings from nested mappings. Raises UserError naming `origin` for unknown sections or fields."""
    unknown = [name for name in content if name not in (*SECTIONS, "note")]
    if unknown:
        raise UserError(f"{origin}: unknown section {unknown[0]}; there are {', '.join(SECTIONS)}")
    known = {field.name for kind in SECTIONS.values() for field in dataclasses.fields(kind)}
    for key in overrides:
        if key not in known:
            raise UserError(f"{origin}: there is no setting {key}")
    sections = {}
    for name, kind in SECTIONS.items():
        values = content.get(name, {})
        if not isinstance(values, Mapping):
            raise UserError(f"{origin}: [{name}] is not a section of fields")
        fields = [field.name for field in dataclasses.fields(kind)]
        for key in values:
            if key not in fields:
                raise UserError(f"{origin}: [{name}] has no field {key}; there are {', '.join(fields)}")
        chosen = {key: value for key, value in overrides.items() if key in fields}
        sections[name] = kind(**{**values, **chosen})
    return TrainConfig(**sections)


def flag(name: str) -> str:
    """The command-line flag of a field."""
    return "--" + name.replace("_", "-")


def _flag_value(value: tuple) -> str:
    return ",".join(map(str, value))


def _convert(value: Any, kind: Any, name: str) -> Any:
    """A value from TOML or a flag as its field's type; lists become tuples, whole numbers may be floats."""
    if kind in (tuple[int, ...], tuple[float, ...]):
        item = int if kind == tuple[int, ...] else float
        if not isinstance(value, list | tuple):
            raise UserError(f"{name} {value!r}: a list of numbers is needed")
        return tuple(_convert(v, item, name) for v in value)
    accepted = (int, float) if kind is float else kind
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        raise UserError(f"{name} {value!r}: a value of type {kind.__name__} is needed")
    try:
        return kind(value)
    except OverflowError:
        raise UserError(f"{name}: the number is too large") from None


def _check_limits(value: Any, metadata: Mapping[str, Any], name: str) -> None:
    if metadata["choices"] and value not in metadata["choices"]:
        raise UserError(f"{name} {value}: it must be one of {', '.join(metadata['choices'])}")
    low, high = metadata["low"], metadata["high"]
    for number in value if isinstance(value, tuple) else (value,):
        if (low is not None and not number >= low) or (high is not None and not number <= high):
            limits = f"at least {low}" if high is None else f"between {low} and {high}"
            raise UserError(f"{name} {number}: it must be {limits}")
