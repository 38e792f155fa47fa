"""Wording shared by messages."""


def counted(count: int, noun: str) -> str:
    """Write a count with its noun: "1 clip", "2 clips"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
