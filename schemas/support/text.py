"""Wording shared by messages."""

import shlex
from collections.abc import Sequence


def counted(count: int, noun: str) -> str:
    """Write a count with its noun: "1 clip", "2 clips"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def first_and_more(names: Sequence[str]) -> str:
    """Write the first of some names and how many more there are: "a", "a and 2 more"."""
    return f"{names[0]} and {len(names) - 1} more" if len(names) > 1 else names[0]


def command(*words: object) -> str:
    """Write a command as one would type it in a shell, to be shown as what to do next."""
    return shlex.join(map(str, words))
