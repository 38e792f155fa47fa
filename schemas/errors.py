"""The one exception that a user is meant to read."""


class UserError(Exception):
    """Wrong input or a wrong environment. The text is one line: what is wrong, where, and what to do."""
