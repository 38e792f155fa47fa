"""The flags of `train`: those that several commands share, and one for every field of the settings."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

import click

from dfer.train.config import SECTIONS, flag, preset_names

if TYPE_CHECKING:
    from dfer.train.engine.experiment import RunOptions

CACHES_ARGUMENT = click.argument(
    "caches", metavar="CACHE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
DEVICE_OPTION = click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps."
)
WORKERS_OPTION = click.option(
    "--loader-workers",
    type=click.IntRange(0, 256),
    help="JPEG-decoding processes  [default: none on a CPU, up to 8 beside a GPU].",
)
CLASSES_OPTION = click.option(
    "--classes", type=click.IntRange(min=2), default=7, show_default=True, help="Number of classes."
)
JSON_OPTION = click.option("--json", "as_json", is_flag=True, help="Print for a program to read.")
PRESET_OPTION = click.option(
    "--preset",
    default="paper",
    show_default=True,
    help=f"{', '.join(preset_names())}, or a .toml file: where settings that are not given come from.",
)

MEANS_OPTIONS = (
    click.option(
        "--save-minutes",
        type=click.FloatRange(0),
        default=5.0,
        show_default=True,
        help="How often to save within an epoch; 0: at every step.",
    ),
    click.option("--tensorboard", is_flag=True, help="Write event files too (extra: tensorboard)."),
    DEVICE_OPTION,
    WORKERS_OPTION,
)
START_OPTIONS = (
    click.option(
        "--init-from",
        metavar="RUN|FILE",
        type=click.Path(path_type=Path),
        help="Start from the best network of a run, or a checkpoint; its classes may be others.",
    ),
    click.option(
        "--backbone",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="Start from a ResNet-18 with torchvision's or timm's names: .safetensors or .pth.",
    ),
)
CHECKPOINT_OPTION = click.option(
    "--checkpoint",
    "which",
    type=click.Choice(["last", "best"]),
    default="last",
    show_default=True,
    help="Which network of the run.",
)
FOLDS_HELP = "official: the dataset's own folds; subject:K: K folds of whole subjects"
FOLD_OPTION = click.option("--fold", type=int, help="The fold to test on, where the dataset has folds.")
HOLDOUT_OPTION = click.option(
    "--holdout",
    type=click.FloatRange(0, 0.9),
    default=0.0,
    show_default=True,
    help="Share of subjects (or clips) to test on, where the dataset has no split.",
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


def setting_options(*only: str) -> Callable:
    """A flag for every field of the settings, or for those of `only` (sections and fields) where it says some; a flag
    that is not given leaves the preset's value."""

    def add_flags(command: Callable) -> Callable:
        for name, section in reversed(SECTIONS.items()):
            kinds = get_type_hints(section)
            for field in reversed(dataclasses.fields(section)):
                if not only or {name, field.name} & set(only):
                    command = _setting_option(field, kinds[field.name], name)(command)
        return command

    return add_flags


class SettingOption(click.Option):
    """A flag for a field of the settings, shown in the help under its section."""

    def __init__(self, *args: Any, section: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.section = section


class SettingsCommand(click.Command):
    """A command whose help shows the settings apart, section by section."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record:
                title = f"Settings: {param.section}" if isinstance(param, SettingOption) else "Options"
                sections.setdefault(title, []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


def _setting_option(field: dataclasses.Field, kind: Any, section: str) -> Callable:
    text = field.metadata["help"]
    text = f"{text[0].upper()}{text[1:]}.  [paper: {_as_given(field.default)}]"
    names = [flag(field.name)]
    if kind is bool:
        names, kind = [f"{names[0]}/--no-{names[0][2:]}"], None
    elif field.metadata["choices"]:
        kind = click.Choice(field.metadata["choices"])
    elif kind in (tuple[int, ...], tuple[float, ...]):
        kind = NumberList(int if kind == tuple[int, ...] else float)
    return click.option(*names, type=kind, default=None, help=text, cls=SettingOption, section=section)


def _as_given(value: Any) -> str:
    """A setting as its flag takes it. The fields' defaults are the preset `paper`."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def run_option_flags(command: Callable) -> Callable:
    """Flags for what training needs and what does not change its result."""
    for option in reversed(MEANS_OPTIONS):
        command = option(command)
    return command


def start_options(command: Callable) -> Callable:
    """Flags for the weights that a network starts from."""
    for option in reversed(START_OPTIONS):
        command = option(command)
    return command


def options_and_settings(options: dict[str, Any]) -> tuple["RunOptions", dict[str, Any]]:
    """The flags of `run_options` apart from those of `setting_options`, the latter where given. Raises UserError
    where --tensorboard cannot be had."""
    from dfer.train.engine.experiment import RunOptions
    from dfer.train.results.logs import require_tensorboard

    if options["tensorboard"]:
        require_tensorboard()
    names = [field.name for field in dataclasses.fields(RunOptions)]
    run_options = RunOptions(**{name: options[name] for name in names})
    return run_options, given({name: value for name, value in options.items() if name not in names})


def given(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings whose flag was given."""
    return {name: value for name, value in settings.items() if value is not None}
