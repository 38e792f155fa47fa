"""The flags of `pipeline` that several commands share, and how their values are read."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

MODELS_OPTION = click.option(
    "--models",
    "models_folder",
    type=click.Path(path_type=Path),
    help="Folder with the model files (also: DFER_MODELS).",
)
JSON_OPTION = click.option("--json", "as_json", is_flag=True, help="Print for a program to read.")

MEANS = (
    click.option(
        "--clip-timeout", type=float, default=60, show_default=True, help="Seconds until a clip is given up."
    ),
    click.option(
        "--worker-memory",
        type=float,
        default=2,
        show_default=True,
        help="GB until a worker's clip is given up.",
    ),
    click.option(
        "--reuse",
        multiple=True,
        type=click.Path(path_type=Path),
        help="A cache (or what `share` wrote) whose landmarks are taken where it knows a clip. Repeatable.",
    ),
    MODELS_OPTION,
)


def means_options(command: Callable) -> Callable:
    """The options that do not change the cache, gathered into one argument `means`."""

    @functools.wraps(command)
    def gathered(**arguments: Any) -> None:
        names = ("clip_timeout", "worker_memory", "reuse", "models_folder")
        means = {name: arguments.pop(name) for name in names}
        command(**arguments, means=means)

    for option in reversed(MEANS):
        gathered = option(gathered)
    return gathered


class SourceType(click.Path):
    """A path; an empty one, of a variable that is not set, say, would be the current folder."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("it is empty; give a folder or a table (. for this folder)", param, ctx)
        return super().convert(value, param, ctx)


class DatasetType(click.ParamType):
    """The name of a dataset's reader; the registry is only loaded to check one that was given."""

    name = "NAME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from dfer.data_manifest.datasets import AUTO, READERS

        names = (AUTO, *(reader.name for reader in READERS))
        if value not in names:
            self.fail(f"{value!r} is not one of {', '.join(names)}", param, ctx)
        return value


DATASET_OPTION = click.option(
    "--dataset",
    type=DatasetType(),
    default="auto",
    show_default=True,
    help="Which dataset it is; `pipeline datasets` lists them.",
)
NAME_OPTION = click.option(
    "--name",
    help="What the dataset is called, such as DFEW for a table of it.  [default: as --dataset]",
    callback=lambda ctx, param, value: _a_name(value),
)
COMPOUND_OPTION = click.option(
    "--compound", is_flag=True, help="Keep clips with several emotions, as classes of their own (MAFW)."
)


def _a_name(value: str | None) -> str | None:
    if value is not None and not (value.strip() and value.isprintable()):
        raise click.BadParameter("it must hold letters, and nothing that cannot be printed")
    return value and value.strip()


class SliceType(click.ParamType):
    """I/N as two numbers."""

    name = "I/N"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        try:
            number, count = (int(part) for part in value.split("/"))
        except ValueError:
            self.fail(f"{value!r} is not of the form 0/4", param, ctx)
        return number, count
