"""A number with its noun."""


def counted(number: int, noun: str) -> str:
    """counted(1, "clip") is "1 clip", counted(2, "clip") "2 clips"."""
    return f"{number} {noun}{'s' * (number != 1)}"
