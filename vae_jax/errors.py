"""The one error that tells a user what to do; command lines print it in one line and exit with 2."""

from __future__ import annotations


class InputError(ValueError):
    """A value, file or folder given by the user cannot be used.

    The message is one line: the value, what was expected, and what to do.
    """


def check_at_least(name: str, value: int, least: int) -> None:
    """Raises InputError for a count below the least that makes sense."""
    if value < least:
        raise InputError(f"{name} {value}: expected at least {least}")


def printable(text: object) -> str:
    """The text of a message or a path as it may be printed: control characters and undecoded bytes are escaped.

    A file may be named by a stranger, and a terminal obeys what such a name holds.
    """
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))


def one_line(error: Exception | str) -> str:
    """What another library's error says, on one line, cut at 160 characters; its type where it says nothing."""
    text = printable(" ".join(str(error).split())) or type(error).__name__
    return text if len(text) <= 160 else text[:160] + "..."
