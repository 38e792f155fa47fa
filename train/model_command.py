"""A command whose flags depend on the network that it is called for."""

import itertools
from collections.abc import Sequence

import click

from dfer.schemas.support.options import SettingOption, SettingsCommand, make_options
from dfer.train.config import chosen_model, section_classes
from dfer.train.models.registry import PAPER, ModelError

MODEL_KEY = "dfer.model"  # of the context's meta: the model whose flags a command has
SETTINGS_OF = "Settings:"
NETWORK = f"{SETTINGS_OF} network"


class ModelCommand(SettingsCommand):
    """A command whose flags of the network are those of the model that --model or --preset names."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Find the model first, since the other flags depend on it. Several models share no flags of the network."""
        given = {name: _value_of(f"--{name}", args) for name in ("model", "preset")}
        ctx.meta[MODEL_KEY] = None if "," in (given["model"] or "") else chosen_model(**given)
        return super().parse_args(ctx, args)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The parameters, with the chosen model's flags in the place of the paper's network's."""
        params, model = super().get_params(ctx), ctx.meta.get(MODEL_KEY, PAPER)
        theirs = [param for param in params if isinstance(param, SettingOption) and param.section == NETWORK]
        if model == PAPER or not theirs:
            return params
        place = params.index(theirs[0])
        others = [param for param in params if param not in theirs]
        own = make_options(section_classes(model)["network"], NETWORK) if model else []
        for name in {param.name for param in others} & {param.name for param in own}:
            raise ModelError(f"--model {model}: its setting {name} has the name of another flag; rename it")
        return [*others[:place], *own, *others[place:]]


def _value_of(name: str, args: Sequence[str]) -> str | None:
    """The last value that a command line gives to a flag."""
    found = None
    for arg, value in itertools.zip_longest(args, args[1:]):
        if arg == name:
            found = value
        elif arg.startswith(f"{name}="):
            found = arg.removeprefix(f"{name}=")
    return found
