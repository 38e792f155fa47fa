"""Flags that both command lines make alike: one for each field of a settings class, and `--json`."""

import dataclasses
import math
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import click

from dfer.schemas.support.settings import flag, setting_fields

Record = TypeVar("Record")
JSON_OPTION = click.option("--json", "as_json", is_flag=True, help="Print results as JSON.")


def setting_options(
    kind: type, section: str, *, default: str = "default", only: tuple[str, ...] = ()
) -> Callable:
    """Add a flag for each field of a settings class. Flags that are not given are None.

    kind: a subclass of `Settings`
    section: title above these flags in the help of a `SettingsCommand`
    default: what the fields' defaults are called in the help
    only: names of fields; all by default
    """

    def add_flags(command: Callable) -> Callable:
        for option in reversed(make_options(kind, section, default=default, only=only)):
            command.__dict__.setdefault("__click_params__", []).append(option)
        return command

    return add_flags


def make_options(
    kind: type, section: str, *, default: str = "default", only: tuple[str, ...] = ()
) -> "list[SettingOption]":
    """Make the flags of `setting_options`."""
    kinds = get_type_hints(kind)
    fields = [field for field in setting_fields(kind) if not only or field.name in only]
    return [_setting_option(field, kinds[field.name], section, default) for field in fields]


def from_flags(kind: type[Record], flags: Mapping[str, Any]) -> Record:
    """Make a settings record of the flags that were given; the other fields keep their defaults."""
    names = [field.name for field in dataclasses.fields(kind)]
    return kind(**{name: flags[name] for name in names if flags.get(name) is not None})


class SettingOption(click.Option):
    """The flag of a settings field."""

    def __init__(self, *args: Any, section: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.section = section


class SettingsCommand(click.Command):
    """A command whose help lists the settings in sections of their own."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record and isinstance(param, click.Option):
                title = param.section if isinstance(param, SettingOption) else "Options"
                sections.setdefault(title, []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


class Text(click.ParamType):
    """Text that is not empty, as it would be of a shell variable that is not set."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not value.strip():
            self.fail("it is empty; give a value", param, ctx)
        return value


class FilePath(click.Path):
    """A path that is not empty: that would be the current folder."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return super().convert(Text().convert(str(value), param, ctx), param, ctx)


class Number(click.FloatRange):
    """A number within limits. click takes nan for one that is, and inf where there is no upper one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return number


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


class NumberOrWord(click.ParamType):
    """An integer, or one of some words, which is passed on as it is: `Settings` knows what it stands for."""

    def __init__(self, words: Collection[str]) -> None:
        self.words, self.name = words, "|".join(["N", *words])

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value in self.words or isinstance(value, int):
            return value
        try:
            return int(value)
        except ValueError:
            self.fail(f"{value!r} is not a number or {' or '.join(self.words)}", param, ctx)


def _setting_option(field: dataclasses.Field, kind: Any, section: str, default: str) -> SettingOption:
    text = field.metadata["help"]
    notes = [f"{default}: {_as_typed(field.default)}", *_limits(field.metadata)]
    text = f"{text[0].upper()}{text[1:]}.  [{'; '.join(notes)}]"
    name, metavar = flag(field.name), None
    if kind is bool:
        name, kind = f"{name}/--no-{name[2:]}", None
    elif field.metadata["choices"]:
        kind = click.Choice(field.metadata["choices"])
    elif field.metadata["words"]:
        kind = NumberOrWord(field.metadata["words"])
        metavar = kind.name
    elif kind in (tuple[int, ...], tuple[float, ...]):
        kind = NumberList(int if kind == tuple[int, ...] else float)
    return SettingOption([name], type=kind, default=None, help=text, section=section, metavar=metavar)


def _limits(metadata: Mapping[str, Any]) -> list[str]:
    low, high = metadata["low"], metadata["high"]
    if low is None:
        return []
    return [f"x>={low}" if high is None else f"{low}<=x<={high}"]


def _as_typed(value: Any) -> str:
    """A setting as its flag takes it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
