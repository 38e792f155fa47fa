"""The exceptions that are meant for a user, not for a programmer."""


class UserError(Exception):
    """Wrong input or a wrong environment. The text is one line: what is wrong, where, and what to do."""


class Interrupted(KeyboardInterrupt):
    """A signal asked the program to end. `number` is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
