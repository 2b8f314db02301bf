"""What must hold of every command line, as a function that raises AssertionError where it does not."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Sequence


def check_command(command: Callable[[Sequence[str]], None], *, bad: Sequence[str]) -> None:
    """Asserts that `--help` explains and ends with 0, and that bad input is one line on stderr and exit code 2.

    command: takes the arguments, as the console script does. bad: arguments that it must refuse.
    """
    code, out, _ = _run(command, ["--help"])
    assert (code, len(out.splitlines()) > 3) == (0, True), f"--help ended with {code} after {out!r}"
    code, _, err = _run(command, list(bad))
    assert code == 2, f"{list(bad)} ended with {code}: expected 2"
    assert len(err.strip().splitlines()) == 1, f"{list(bad)} printed {err!r}: expected one line"


def _run(command: Callable[[Sequence[str]], None], arguments: list[str]) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            command(arguments)
        except SystemExit as end:
            if isinstance(end.code, str):
                print(end.code, file=err)
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
    return code, out.getvalue(), err.getvalue()
