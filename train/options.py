"""The flags of `train`: those shared by several commands, and one for every setting.

`split_options`, `device_options`, `config_options` and `training_options` add several flags and pass one record.
"""

import dataclasses
import functools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from dfer.schemas.support.options import FilePath, Number, NumberList, Text, setting_options
from dfer.train.config import TrainConfig, load_config, preset_names, section_classes
from dfer.train.model_command import MODEL_KEY, SETTINGS_OF
from dfer.train.models.registry import PAPER

if TYPE_CHECKING:
    from dfer.train.engine.experiment import RunOptions
    from dfer.train.engine.weights import Start

PATH, TEXT = FilePath(), Text()
SEVERAL_NAMES = "give names separated by commas, such as strong,former-dfer"
MAX_BATCH_SIZE = 65536
SHARED = ("data", "recipe", "execution")  # sections of the settings that networks can share

CACHES = click.argument("caches", metavar="CACHE...", nargs=-1, required=True, type=PATH)
RUN = click.argument("run", type=PATH)
PRESET = click.option(
    "--preset",
    type=TEXT,
    help=f"Settings: {', '.join(preset_names())}, or a .toml file. Flags override them.  [default: that of --model]",
)
MODEL = click.option(
    "--model",
    metavar="NAME",
    type=TEXT,
    help="The network: a name of train/models/README.md, or FILE.py:CLASS.  [default: that of --preset]",
)
CHECKPOINT = click.option(
    "--checkpoint",
    "which",
    type=click.Choice(["last", "best"]),
    default="last",
    show_default=True,
    help="Use the network after the last or the best epoch.",
)
CLASSES = click.option(
    "--classes", type=click.IntRange(min=2), default=7, show_default=True, help="Number of classes."
)
FOLDS_HELP = "official (the dataset's folds), subject:K (K folds of subjects) or clips:K (K folds of clips)"
SEED = click.option(
    "--seed",
    type=click.IntRange(0, 2**31 - 1),
    default=0,
    show_default=True,
    help="Seed of the splits that are drawn, as of `train run`.",
)
SEEDS = click.option(
    "--seeds",
    type=NumberList(int),
    default=(),
    help="Train with each of these seeds and average, such as 0,1.  [default: the one of --seed]",
)
DASK = click.option(
    "--dask",
    metavar="ADDRESS",
    type=TEXT,
    help="Train each run on a worker of the Dask cluster with this scheduler.",
)
DEVICE = click.option(
    "--device", type=TEXT, default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 or mps."
)
_WORKERS = click.option(
    "--loader-workers",
    type=click.IntRange(0, 256),
    help="JPEG-decoding processes.  [default: none on a CPU, up to 8 with a GPU]",
)
_SPLIT = (
    click.option("--fold", type=int, help="Fold to test on, if the dataset has folds."),
    click.option(
        "--holdout",
        type=Number(0, 0.9),
        default=0.0,
        show_default=True,
        help="Share of subjects (or clips) to test on, if the dataset has no split or only its part train.",
    ),
)
_STARTING = (
    click.option(
        "--init-from",
        metavar="RUN|FILE",
        type=PATH,
        help="Start from a run's best network, or a checkpoint; classes are matched by name.",
    ),
    click.option(
        "--backbone",
        metavar="FILE",
        type=PATH,
        help="Start from ResNet-18 weights with torchvision's or timm's names (.safetensors, .pth).",
    ),
)
_RUNNING = (
    click.option(
        "--save-minutes",
        type=Number(0),
        default=5.0,
        show_default=True,
        help="Minutes between saves within an epoch; 0 saves after every step.",
    ),
    click.option("--tensorboard", is_flag=True, help="Write TensorBoard event files (needs the extra)."),
    DEVICE,
    _WORKERS,
)


class TrainingFlags(NamedTuple):
    """Values of the flags of `training_options`. settings: those that were given, with the `model`."""

    settings: dict[str, Any]
    start: "Start"
    run_options: "RunOptions"


class BudgetFlags(NamedTuple):
    """Values of the flags of `budget_options`. settings: those that were given."""

    settings: dict[str, Any]
    run_options: "RunOptions"


def out(help: str) -> Callable:
    """Add a required `--out`."""
    return click.option("--out", required=True, type=PATH, help=help)


def split_options(command: Callable) -> Callable:
    """Add --fold and --holdout; pass `split`, a SplitChoice."""

    @functools.wraps(command)
    def call(*args: Any, fold: int | None, holdout: float, **others: Any) -> None:
        from dfer.train.data.splits import SplitChoice

        command(*args, split=SplitChoice(fold=fold, holdout=holdout), **others)

    return _add(_SPLIT, call)


def config_options(*only: str) -> Callable:
    """Add --preset, --model and the flags of these sections and settings.

    Pass `configs`: the TrainConfig of each model that --model names, by its name there. A .toml file is one, too.
    """

    def decorate(command: Callable) -> Callable:
        @functools.wraps(command)
        def call(*args: Any, preset: str | None, model: str | None, **flags: Any) -> None:
            settings = _given(_take(flags, (field for _, field in _settings(_model(), only))))
            names = (model or preset or "paper").split(",")
            if not all(names):
                raise click.UsageError(f"--model {model}: {SEVERAL_NAMES}")
            command(*args, configs={name: _config(name, preset, settings) for name in names}, **flags)

        return PRESET(MODEL(_setting_options(call, only)))

    return decorate


def _config(name: str, preset: str | None, settings: Mapping[str, Any]) -> TrainConfig:
    """The settings of a model, or of a preset that is one; see `config_options`."""
    if name == preset or name.endswith(".toml"):
        return load_config(name, settings).settled(scores=False)
    return load_config(preset, {**settings, "model": name}).settled(scores=False)


def device_options(command: Callable) -> Callable:
    """Add --device and --loader-workers; pass `run_options`, a RunOptions."""

    @functools.wraps(command)
    def call(*args: Any, **flags: Any) -> None:
        command(*args, run_options=_run_options(flags), **flags)

    return _add((DEVICE, _WORKERS), call)


def training_options(command: Callable) -> Callable:
    """Add the flags for initial weights, RunOptions, model and settings; pass `training`, their TrainingFlags."""

    @functools.wraps(command)
    def call(*args: Any, model: str | None, **flags: Any) -> None:
        from dfer.train.engine.weights import Start

        start, run_options = Start(**_take(flags, dataclasses.fields(Start))), _run_options(flags)
        settings = _given(_take(flags, (field for _, field in _settings(_model()))))
        if model:
            settings["model"] = model
        command(*args, training=TrainingFlags(settings, start, run_options), **flags)

    return MODEL(_add((*_STARTING, *_RUNNING), _setting_options(call)))


def budget_options(command: Callable) -> Callable:
    """Add the flags for RunOptions and the settings that several networks share; pass `budget`, their BudgetFlags."""

    @functools.wraps(command)
    def call(*args: Any, **flags: Any) -> None:
        run_options = _run_options(flags)
        settings = _given(_take(flags, (field for _, field in _settings(None))))
        command(*args, budget=BudgetFlags(settings, run_options), **flags)

    return _add(_RUNNING, _setting_options(call, SHARED))


def _run_options(flags: dict[str, Any]) -> "RunOptions":
    """Take the values of the flags for RunOptions."""
    from dfer.train.engine.experiment import RunOptions
    from dfer.train.results.logs import require_tensorboard

    if flags.get("tensorboard"):
        require_tensorboard()
    return RunOptions(**_take(flags, dataclasses.fields(RunOptions)))


def _add(options: Sequence[Callable], command: Callable) -> Callable:
    for option in reversed(options):
        command = option(command)
    return command


def _take(flags: dict[str, Any], fields: Iterable[dataclasses.Field]) -> dict[str, Any]:
    """Remove the values of these fields from `flags`, as far as the command has them, and return them."""
    return {field.name: flags.pop(field.name) for field in fields if field.name in flags}


def _given(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings whose flag was given."""
    return {name: value for name, value in settings.items() if value is not None}


def _model() -> str | None:
    """The model of the command that is running; None if it has several."""
    return click.get_current_context().meta.get(MODEL_KEY, PAPER)


def _settings(model: str | None, only: Collection[str] = ()) -> list[tuple[str, dataclasses.Field]]:
    """A model's settings, each with its section's name; without a model those that all have.

    only: names of sections and settings; all if empty
    """
    classes = section_classes(model or PAPER)
    sections = classes if model else SHARED
    every = [(name, field) for name in sections for field in dataclasses.fields(classes[name])]
    return [(name, field) for name, field in every if not only or {name, field.name} & set(only)]


def _setting_options(command: Callable, only: Collection[str] = ()) -> Callable:
    """Add a flag for each of the paper's `_settings`; one that is not given leaves the preset's value."""
    for section, kind in reversed(section_classes().items()):
        names = tuple(field.name for name, field in _settings(PAPER, only) if name == section)
        if names:
            title = f"{SETTINGS_OF} {section}"
            command = setting_options(kind, title, default="paper", only=names)(command)
    return command
