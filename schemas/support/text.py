"""Wording shared by messages."""

import shlex


def counted(count: int, noun: str) -> str:
    """Write a count with its noun: "1 clip", "2 clips"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def command(*words: object) -> str:
    """Write a command as one would type it in a shell, to be shown as what to do next."""
    return shlex.join(map(str, words))
