"""The flags of `pipeline` that several commands share, and how their values are read."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dfer.pipeline.config import RunOptions, Slice
from dfer.schemas.support.options import setting_options

if TYPE_CHECKING:
    from dfer.data_manifest.datasets import Manifest

MODELS_OPTION = click.option(
    "--models",
    "models_folder",
    type=click.Path(path_type=Path),
    help="Folder with the model files; the variable DFER_MODELS works too.",
)
REUSE_OPTION = click.option(
    "--reuse",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Take landmarks from this cache (or from what `share` wrote) for clips with the same content. Repeatable.",
)


def limit_options(command: Callable) -> Callable:
    """Add the flags of the `RunOptions` that `extract` and `shard` share."""
    return setting_options(RunOptions, "Options")(REUSE_OPTION(MODELS_OPTION(command)))


class SliceType(click.ParamType):
    """I/N as a `Slice`."""

    name = "I/N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Slice:
        try:
            number, count = (int(part) for part in value.split("/"))
        except ValueError:
            self.fail(f"{value!r} does not have the form 0/4", param, ctx)
        return Slice(number=number, count=count)


class SourceType(click.Path):
    """A path that is not empty: that of an unset variable would be the current folder."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("it is empty; give a folder or a table (. for this folder)", param, ctx)
        return super().convert(value, param, ctx)


class DatasetType(click.ParamType):
    """The name of a dataset's reader. The readers are imported only if a name is given."""

    name = "NAME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from dfer.data_manifest.datasets import AUTO, READERS

        names = (AUTO, *(reader.name for reader in READERS))
        if value not in names:
            self.fail(f"{value!r} is not one of {', '.join(names)}", param, ctx)
        return value


def dataset_options(command: Callable) -> Callable:
    """Add SOURCE... and the flags that say how to read it: the arguments of `read_dataset`."""
    parameters = (
        click.argument("sources", metavar="SOURCE...", nargs=-1, required=True, type=SourceType()),
        click.option(
            "--dataset",
            type=DatasetType(),
            default="auto",
            show_default=True,
            help="Dataset layout; `pipeline datasets` lists them.",
        ),
        click.option(
            "--name",
            callback=lambda ctx, param, value: _check_name(value),
            help="Dataset name to store, such as DFEW for a table of its clips.  [default: as --dataset]",
        ),
        click.option(
            "--compound",
            is_flag=True,
            help="Keep clips with several emotions, as classes of their own (MAFW).",
        ),
    )
    for parameter in reversed(parameters):
        command = parameter(command)
    return command


def read_dataset(sources: Sequence[Path], dataset: str, name: str | None, compound: bool) -> "Manifest":
    """Read the manifest of a dataset, or of loose clips.

    sources: a folder, a table or a list of clips; or videos, and any mix of these
    dataset: a reader's name, or "auto"
    name: what to call the dataset, if not as its reader
    compound: keep clips with several emotions

    Raises UserError.
    """
    from dfer.data_manifest.inputs import read_source
    from dfer.data_manifest.reader import Options

    return read_source(sources, dataset, Options(compound=compound, name=name))


def _check_name(value: str | None) -> str | None:
    if value is not None and not (value.strip() and value.isprintable()):
        raise click.BadParameter("must be non-empty printable text")
    return value and value.strip()
