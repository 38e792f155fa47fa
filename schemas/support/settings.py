"""Settings as frozen dataclasses whose fields carry help and limits; `options` makes their flags."""

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any, get_type_hints

from dfer.schemas.support.errors import UserError

SHOWN = 60  # characters of a wrong value; a damaged file may have a very long one
EXPECTED = {int: "an integer", float: "a number", bool: "true or false", str: "text"}


def setting(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    words: Mapping[str, int] | None = None,
) -> Any:
    """Define a settings field.

    help: a phrase in lower case, without a full stop; the text of the flag
    low, high: limits, inclusive; of each item if the field is a tuple
    choices: the allowed values of a text field
    words: words that may be given for some values of an integer field
    """
    metadata = {"help": help, "low": low, "high": high, "choices": choices, "words": words or {}}
    return dataclasses.field(default=default, metadata=metadata)


class Settings:
    """Base of the settings dataclasses. It checks each field made by `setting`, wherever the value comes from.

    Lists become tuples and integers become floats where the field's type asks for it.
    Raises UserError naming the flag.
    """

    def __post_init__(self) -> None:
        kinds = get_type_hints(type(self))
        for field in setting_fields(type(self)):
            given, words = getattr(self, field.name), field.metadata["words"]
            value = words[given] if isinstance(given, str) and given in words else given
            value = _convert(value, kinds[field.name], flag(field.name))
            _check_limits(value, field.metadata, flag(field.name))
            object.__setattr__(self, field.name, value)


def setting_fields(kind: type) -> list[dataclasses.Field]:
    """List the fields of a settings class that were made by `setting`."""
    return [field for field in dataclasses.fields(kind) if "help" in field.metadata]


def flag(name: str) -> str:
    """Name the command-line flag of a field."""
    return "--" + name.replace("_", "-")


def _convert(value: Any, kind: Any, name: str) -> Any:
    if kind in (tuple[int, ...], tuple[float, ...]):
        item = int if kind == tuple[int, ...] else float
        if not isinstance(value, list | tuple):
            raise UserError(f"{name} {_short(json.dumps(value, default=str))}: must be a list of numbers")
        return tuple(_convert(v, item, name) for v in value)
    accepted = (int, float) if kind is float else kind
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        raise UserError(f"{name} {_short(json.dumps(value, default=str))}: must be {EXPECTED[kind]}")
    try:
        return kind(value)
    except OverflowError:
        raise UserError(f"{name}: the number is too large") from None


def _check_limits(value: Any, metadata: Mapping[str, Any], name: str) -> None:
    low, high, choices = metadata["low"], metadata["high"], metadata["choices"]
    if choices and value not in choices:
        raise UserError(f"{name} {_short(value)}: must be one of {', '.join(choices)}")
    for number in value if isinstance(value, tuple) else (value,):
        if (low is not None and not number >= low) or (high is not None and not number <= high):
            limits = f"at least {low}" if high is None else f"between {low} and {high}"
            raise UserError(f"{name} {_short(str(number))}: must be {limits}")
        if isinstance(number, float) and not math.isfinite(number):
            raise UserError(f"{name} {number}: must be a finite number")


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
