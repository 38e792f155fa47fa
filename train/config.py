"""The settings of a run: frozen dataclasses, read from a preset's TOML file and overridden by flags.

A field's `help` is also the help text of its flag. Its limits are checked wherever its value comes from. The defaults
are the preset `paper`, which says at each value whether it is the paper's or ours (train/presets/paper.toml).
"""

import dataclasses
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfer.schemas.support.errors import UserError
from dfer.schemas.support.settings import Settings, setting
from dfer.train.models.keypoint.settings import KeypointSettings
from dfer.train.models.registry import PAPER, located, settings_class
from dfer.train.models.settings import NetworkSettings, Task

if TYPE_CHECKING:
    from dfer.schemas.keypoints import KeypointSet

PRESETS = Path(__file__).parent / "presets"


@dataclass(frozen=True, kw_only=True)
class DataConfig(Settings):
    """The network's input, and how training clips are augmented."""

    num_frames: int = setting(16, "frames per clip", low=1, high=1000)
    image_size: int = setting(112, "side of the input images, pixels", low=16, high=1024)
    crop_fraction: float = setting(
        0.875, "side of the input window as a fraction of the stored crop", low=0.1, high=1
    )
    flip: bool = setting(True, "mirror training clips at random")
    color_jitter: float = setting(
        0.0, "largest random change of brightness, contrast and saturation, as a fraction", low=0, high=1
    )


@dataclass(frozen=True, kw_only=True)
class RecipeConfig(Settings):
    """How the network is trained. The defaults are what the paper prints, with every extra off."""

    epochs: int = setting(80, "passes over the training clips", low=1, high=1_000_000)
    batch_size: int = setting(64, "clips per step, over all processes", low=1, high=65536)
    optimiser: str = setting("adam", "optimiser", choices=("adam", "adamw", "sgd"))
    learning_rate: float = setting(1e-3, "initial learning rate", low=0, high=10)
    betas: tuple[float, ...] = setting((0.9, 0.99), "beta 1 and beta 2 of Adam", low=0, high=0.999999)
    momentum: float = setting(0.9, "momentum of SGD", low=0, high=0.999999)
    nesterov: bool = setting(True, "use Nesterov's form of SGD's momentum")
    weight_decay: float = setting(0.0, "weight decay of matrices and convolutions", low=0, high=10)
    schedule: str = setting("steps", "learning rate schedule", choices=("steps", "cosine"))
    milestones: tuple[float, ...] = setting(
        (40.0, 60.0), "epochs after which `steps` lowers the learning rate", low=0
    )
    decay: float = setting(0.1, "factor applied to the learning rate at each milestone", low=0, high=1)
    warmup_epochs: float = setting(0.0, "epochs of linear warm-up", low=0, high=1000)
    loaded_lr: float = setting(
        1.0, "factor on the learning rate of weights loaded by --init-from or --backbone", low=0, high=10
    )
    label_smoothing: float = setting(0.0, "label smoothing", low=0, high=1)
    soft_labels: bool = setting(False, "train on the shares of each clip's votes instead of its label alone")
    class_weights: str = setting(
        "none",
        "class weights in the loss; `inverse`: inverse frequency, `effective`: inverse effective number of clips",
        choices=("none", "inverse", "effective"),
    )
    effective_beta: float = setting(
        0.999,
        "beta of the effective number of clips: 0 is no weights, near 1 is `inverse`",
        low=0,
        high=0.999999,
    )
    logit_adjustment: float = setting(
        0.0, "tau, how much the scores are corrected for the classes' frequency; 0: off", low=0, high=10
    )
    adjusted: str = setting(
        "predictions",
        "where logit adjustment is applied: to the predictions, or to the loss",
        choices=("predictions", "loss"),
    )
    sampling: str = setting(
        "shuffled",
        "how clips are drawn; `balanced`: every class equally often",
        choices=("shuffled", "balanced"),
    )
    mixup: float = setting(0.0, "alpha of mixup between clips; 0: off", low=0, high=10)
    clip_norm: float = setting(0.0, "clip gradients to this norm; 0: off", low=0, high=1e6)
    ema_decay: float = setting(
        0.0, "decay of a moving average of the weights, used to predict; 0: off", low=0, high=0.999999
    )
    seed: int = setting(0, "seed of initial weights, clip order and augmentation", low=0, high=2**31 - 1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.betas) != 2:
            raise UserError(f"--betas {_flag_value(self.betas)}: give two numbers")


@dataclass(frozen=True, kw_only=True)
class ExecutionConfig(Settings):
    """How a step is computed."""

    accumulate: int = setting(1, "split each step into this many parts, to save memory", low=1, high=65536)
    precision: str = setting(
        "float32",
        "number format of matrix products and convolutions (autocast)",
        choices=("float32", "bfloat16", "float16"),
    )
    channels_last: bool = setting(False, "use the channels-last memory format")
    compile: bool = setting(False, "compile the network with torch.compile")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """All settings of a run. model: as in `models.registry`; network: settings of its class."""

    model: str = PAPER
    network: NetworkSettings = dataclasses.field(default_factory=KeypointSettings)
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    recipe: RecipeConfig = dataclasses.field(default_factory=RecipeConfig)
    execution: ExecutionConfig = dataclasses.field(default_factory=ExecutionConfig)

    def to_toml(self) -> str:
        """Write the settings as a preset file; `load_config` reads it back to equal settings."""
        lines = [f"model = {json.dumps(self.model)}", ""]
        for section in SECTIONS:
            lines.append(f"[{section}]")
            values = dataclasses.asdict(getattr(self, section))
            # TOML and JSON write numbers, strings, booleans and lists alike.
            lines += [f"{name} = {json.dumps(value)}" for name, value in values.items()]
            lines.append("")
        return "\n".join(lines)

    @property
    def warning(self) -> str | None:
        """One line on settings that are probably a mistake, or None."""
        recipe = self.recipe
        favours = {
            f"--class-weights {recipe.class_weights}": recipe.class_weights != "none",
            f"--sampling {recipe.sampling}": recipe.sampling == "balanced",
            f"--logit-adjustment {recipe.logit_adjustment:g}": recipe.logit_adjustment > 0,
        }
        given = [name for name, on in favours.items() if on]
        if len(given) < 2:
            return None
        count = "both" if len(given) == 2 else "all"
        return f"warning: {', '.join(given[:-1])} and {given[-1]} {count} favour rare classes; give only one"

    def settled(self, scores: bool) -> "TrainConfig":
        """Decide the settings that depend on the cache. scores: whether it has expression scores."""
        return dataclasses.replace(self, network=self.network.settled(scores))

    def task(self, classes: int, keypoints: "KeypointSet", labels: tuple[str, ...] = ()) -> Task:
        """What the network of these settings is built for. labels: names of the classes, if there are any"""
        frames, side = self.data.num_frames, self.data.image_size
        return Task(classes=classes, num_frames=frames, image_size=side, keypoints=keypoints, labels=labels)

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


SECTIONS = ("network", "data", "recipe", "execution")


def section_classes(model: str = PAPER) -> dict[str, type[Settings]]:
    """The settings class of each section, for a model. Raises UserError for an unknown model."""
    classes = (settings_class(model), DataConfig, RecipeConfig, ExecutionConfig)
    return dict(zip(SECTIONS, classes, strict=True))


def preset_names() -> list[str]:
    """The names of the built-in presets."""
    return sorted(path.stem for path in PRESETS.glob("*.toml"))


def default_preset(model: str | None) -> str:
    """The preset of a model's own name, which has its published recipe, or `paper`."""
    return model if model in preset_names() else "paper"


def chosen_model(model: str | None, preset: str | None) -> str:
    """The model of `load_config(preset, {"model": model})`. Raises UserError if the preset cannot be read."""
    if model:
        return _named_network(model)["model"]
    return _read_preset(preset or default_preset(None))[1].get("model", PAPER)


def preset_for_clips(config: TrainConfig) -> str | None:
    """The preset for clips whose network can start from one that was trained on stills with these settings."""
    same = (
        name for name in ("strong", "lean") if load_config(name).network.without_landmarks() == config.network
    )
    return next(same, None)


def load_config(preset: str | None, overrides: Mapping[str, Any] | None = None) -> TrainConfig:
    """Load a preset by name, or from a .toml file, and override single fields.

    preset: None: the one of the model (`default_preset`)
    overrides: field → value, also `model`: the name of a model, or of a preset, whose network is taken. If the
        preset is for this model, its own network stays

    Raises UserError for an unknown preset or model, invalid TOML, and unknown fields or values.
    """
    overrides = dict(overrides or {})
    model = overrides.pop("model", None)
    path, content = _read_preset(preset or default_preset(model))
    if model not in (None, content.get("model", PAPER)):
        content = {**content, **_named_network(model)}
    return config_from(content, overrides, origin=str(path))


def _named_network(name: str) -> dict[str, Any]:
    """Model and settings of the network that a name stands for: a preset's, or a model with its defaults."""
    content = _read_preset(name)[1] if name in preset_names() else {}
    return {"model": content.get("model", PAPER if content else name), "network": content.get("network", {})}


def _read_preset(preset: str) -> tuple[Path, dict[str, Any]]:
    path = Path(preset) if preset.endswith(".toml") else PRESETS / f"{preset}.toml"
    try:
        return path, tomllib.loads(path.read_text())
    except FileNotFoundError:
        known = ", ".join(preset_names())
        raise UserError(f"no preset {preset}; give one of {known}, or a .toml file") from None
    except ValueError as error:  # not TOML, or not UTF-8
        raise UserError(f"{path}: invalid TOML: {error}") from None


def preset_note(preset: str) -> str | None:
    """The `note` of a built-in preset, which is printed when training with it; None if it has none."""
    path = PRESETS / f"{preset}.toml"
    return tomllib.loads(path.read_text()).get("note") if path.is_file() else None


def config_from(content: Mapping[str, Any], overrides: Mapping[str, Any], *, origin: str) -> TrainConfig:
    """Make settings from nested mappings and override single fields.

    content: section → field → value, the `model`, and an optional `note`, which is ignored
    overrides: field → value
    origin: where the content is from, for error messages

    Raises UserError for an unknown model, unknown sections, fields or values.
    """
    unknown = [name for name in content if name not in (*SECTIONS, "model", "note")]
    if unknown:
        raise UserError(f"{origin}: unknown section {unknown[0]}; the sections are {', '.join(SECTIONS)}")
    model = content.get("model", PAPER)
    if not isinstance(model, str):
        raise UserError(f"{origin}: `model` must be the name of a model")
    model = located(model)
    classes = section_classes(model)
    known = {field.name for kind in classes.values() for field in dataclasses.fields(kind)}
    for key in overrides:
        if key not in known:
            raise UserError(f"unknown setting {key}; `train run --help` lists all")
    sections = {}
    for name, kind in classes.items():
        values = content.get(name, {})
        if not isinstance(values, Mapping):
            raise UserError(f"{origin}: [{name}] must be a section")
        fields = [field.name for field in dataclasses.fields(kind)]
        for key in values:
            if key not in fields:
                raise UserError(f"{origin}: [{name}] has no field {key}; its fields are {', '.join(fields)}")
        chosen = {key: value for key, value in overrides.items() if key in fields}
        sections[name] = kind(**{**values, **chosen})
    return TrainConfig(model=model, **sections)


def _flag_value(value: tuple) -> str:
    return ",".join(map(str, value))
