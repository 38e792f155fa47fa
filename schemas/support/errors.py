"""Exceptions that speak to the user."""


class UserError(Exception):
    """Wrong input or environment. The text is one line: what is wrong, where, and what to do."""


class Interrupted(KeyboardInterrupt):
    """A signal asked the program to end. number: the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
