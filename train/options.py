"""The flags of `train`: those shared by several commands, and one for every setting.

`split_options`, `device_options`, `config_options` and `training_options` add several flags and pass one record.
"""

import dataclasses
import functools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_type_hints

import click

from dfer.train.config import SECTIONS, flag, load_config, preset_names

if TYPE_CHECKING:
    from dfer.train.engine.experiment import RunOptions
    from dfer.train.engine.weights import Start

PATH = click.Path(path_type=Path)
MAX_BATCH_SIZE = 65536

CACHES = click.argument("caches", metavar="CACHE...", nargs=-1, required=True, type=PATH)
RUN = click.argument("run", type=PATH)
PRESET = click.option(
    "--preset",
    default="paper",
    show_default=True,
    help=f"Settings: {', '.join(preset_names())}, or a .toml file. Flags override them.",
)
CHECKPOINT = click.option(
    "--checkpoint",
    "which",
    type=click.Choice(["last", "best"]),
    default="last",
    show_default=True,
    help="Use the network after the last or the best epoch.",
)
EVALUATED_CLIPS = click.option(
    "--clips",
    type=click.Choice(["test", "train", "all"]),
    default="test",
    show_default=True,
    help="The run's test clips, its training clips, or all labelled clips.",
)
MOVED_CACHES = click.option(
    "--cache",
    "caches",
    multiple=True,
    type=PATH,
    help="The run's cache, if it was moved; for several, repeat it in the run's order.",
)
SHOWN_CLIPS = click.option(
    "--clips",
    "clips_per_kind",
    type=click.IntRange(0, 500),
    default=6,
    show_default=True,
    help="Correctly and incorrectly classified clips to show, each; 0 shows no faces.",
)
CLASSES = click.option(
    "--classes", type=click.IntRange(min=2), default=7, show_default=True, help="Number of classes."
)
FOLDS_HELP = "official (the dataset's folds) or subject:K (K folds of subjects)"
JSON = click.option("--json", "as_json", is_flag=True, help="Print results as JSON.")
DEVICE = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 or mps.")
_WORKERS = click.option(
    "--loader-workers",
    type=click.IntRange(0, 256),
    help="JPEG-decoding processes.  [default: none on a CPU, up to 8 with a GPU]",
)
_SPLIT = (
    click.option("--fold", type=int, help="Fold to test on, if the dataset has folds."),
    click.option(
        "--holdout",
        type=click.FloatRange(0, 0.9),
        default=0.0,
        show_default=True,
        help="Share of subjects (or clips) to test on, if the dataset has no split.",
    ),
)
_TRAINING = (
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
    click.option(
        "--save-minutes",
        type=click.FloatRange(0),
        default=5.0,
        show_default=True,
        help="Minutes between saves within an epoch; 0 saves after every step.",
    ),
    click.option("--tensorboard", is_flag=True, help="Write TensorBoard event files (needs the extra)."),
    DEVICE,
    _WORKERS,
)


class NumberList(click.ParamType):
    """Numbers separated by commas."""

    name = "n,n,…"

    def __init__(self, item: type) -> None:
        self.item = item

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(self.item(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not a list of numbers such as 1,2", param, ctx)


class TrainingFlags(NamedTuple):
    """Values of the flags of `training_options`. settings: those that were given."""

    settings: dict[str, Any]
    start: "Start"
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
    """Add --preset and the flags of these sections and settings; pass `config`, a TrainConfig."""

    def decorate(command: Callable) -> Callable:
        @functools.wraps(command)
        def call(*args: Any, preset: str, **flags: Any) -> None:
            settings = _take(flags, (field for _, field in _settings(only)))
            command(*args, config=load_config(preset, _given(settings)).settled(scores=False), **flags)

        return PRESET(_setting_options(call, only))

    return decorate


def device_options(command: Callable) -> Callable:
    """Add --device and --loader-workers; pass `run_options`, a RunOptions."""

    @functools.wraps(command)
    def call(*args: Any, device: str, loader_workers: int | None, **others: Any) -> None:
        from dfer.train.engine.experiment import RunOptions

        command(*args, run_options=RunOptions(device=device, loader_workers=loader_workers), **others)

    return _add((DEVICE, _WORKERS), call)


def training_options(command: Callable) -> Callable:
    """Add the flags for initial weights, RunOptions and all settings; pass `training`, their TrainingFlags."""

    @functools.wraps(command)
    def call(*args: Any, **flags: Any) -> None:
        from dfer.train.engine.experiment import RunOptions
        from dfer.train.engine.weights import Start
        from dfer.train.results.logs import require_tensorboard

        if flags["tensorboard"]:
            require_tensorboard()
        start, run_options = (kind(**_take(flags, dataclasses.fields(kind))) for kind in (Start, RunOptions))
        settings = _given(_take(flags, (field for _, field in _settings())))
        command(*args, training=TrainingFlags(settings, start, run_options), **flags)

    return _add(_TRAINING, _setting_options(call))


def _add(options: Sequence[Callable], command: Callable) -> Callable:
    for option in reversed(options):
        command = option(command)
    return command


def _take(flags: dict[str, Any], fields: Iterable[dataclasses.Field]) -> dict[str, Any]:
    """Remove the values of these fields from `flags` and return them."""
    return {field.name: flags.pop(field.name) for field in fields}


def _given(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings whose flag was given."""
    return {name: value for name, value in settings.items() if value is not None}


def _settings(only: Collection[str] = ()) -> list[tuple[str, dataclasses.Field]]:
    """The settings, each with its section's name. only: names of sections and settings; all if empty."""
    every = [(name, field) for name, kind in SECTIONS.items() for field in dataclasses.fields(kind)]
    return [(name, field) for name, field in every if not only or {name, field.name} & set(only)]


def _setting_options(command: Callable, only: Collection[str] = ()) -> Callable:
    """Add a flag for each of `_settings`; one that is not given leaves the preset's value."""
    for section, field in reversed(_settings(only)):
        kind = get_type_hints(SECTIONS[section])[field.name]
        command = _setting_option(field, kind, section)(command)
    return command


class SettingOption(click.Option):
    """A flag for a setting, listed in the help under its section."""

    def __init__(self, *args: Any, section: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.section = section


class SettingsCommand(click.Command):
    """A command whose help lists settings by section, below the other options."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if record:
                title = f"Settings: {param.section}" if isinstance(param, SettingOption) else "Options"
                sections.setdefault(title, []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


def _setting_option(field: dataclasses.Field, kind: Any, section: str) -> Callable:
    text = field.metadata["help"]
    text = f"{text[0].upper()}{text[1:]}.  [paper: {_flag_value(field.default)}]"
    names = [flag(field.name)]
    if kind is bool:
        names, kind = [f"{names[0]}/--no-{names[0][2:]}"], None
    elif field.metadata["choices"]:
        kind = click.Choice(field.metadata["choices"])
    elif kind in (tuple[int, ...], tuple[float, ...]):
        kind = NumberList(int if kind == tuple[int, ...] else float)
    return click.option(*names, type=kind, default=None, help=text, cls=SettingOption, section=section)


def _flag_value(value: Any) -> str:
    """A setting's value as its flag takes it. The fields' defaults are the preset `paper`."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
