"""The one error that tells a user what to do; command lines print it in one line and exit with 2."""


class InputError(ValueError):
    """A value, file or folder given by the user cannot be used.

    The message is one line: the value, what was expected, and what to do.
    """


def check_at_least(name: str, value: int, least: int) -> None:
    """Raises InputError for a count below the least that makes sense."""
    if value < least:
        raise InputError(f"{name} {value}: expected at least {least}")
