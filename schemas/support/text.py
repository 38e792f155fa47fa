"""Words of messages."""


def counted(count: int, noun: str) -> str:
    """A number and what is counted: "1 clip", "2 clips"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
