"""From a command line to an experiment."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import jax

from vae_jax.errors import InputError, printable
from vae_jax.interrupts import come_again, is_whole_program, raise_again
from vae_jax.runs.arguments import parse
from vae_jax.runs.processes import join
from vae_jax.runs.starting import prepare

INPUT_ERROR, INTERRUPTED = 2, 130


def run_command(
    main: Callable[[Any], Any],
    config_type: type,
    description: str | None = None,
    arguments: Sequence[str] | None = None,
    default: Any = None,
    positional: Sequence[str] = (),
    prog: str | None = None,
) -> None:
    """Calls `main(config)` with what the arguments ask for: bad input is one line and exit code 2, Ctrl-C is 130.

    arguments: by default those of this process; the rest as `vae_jax.runs.arguments.parse` takes it.
    """
    _open_standard_files()
    try:
        given = sys.argv[1:] if arguments is None else arguments
        config, how = parse(
            config_type, given, default=default, positional=positional, description=description, prog=prog
        )
        prepare(how)
        # What goes wrong is printed in one line; Orbax and its event loop would add pages of their own.
        sys.unraisablehook = come_again
        for name in ("absl", "asyncio"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        raise_again()
        join(getattr(getattr(config, "run", None), "distributed", False))
        main(config)
        sys.stdout.flush()  # here, where a reader that has gone is still an error of one line
    except BrokenPipeError:
        _end(INPUT_ERROR, "error: standard output was closed: expected a reader until the end; go on with --resume")
    except (InputError, OSError) as error:
        _end(INPUT_ERROR, f"error: {printable(' '.join(str(error).split()))}")
    except KeyboardInterrupt:
        _end(INTERRUPTED, "\nstopped; go on with --resume")


def _end(code: int, line: str) -> NoReturn:
    """Prints the line and ends: by SystemExit, or for good where this command is all that the process does.

    Threads of a library that failed may wait for ever, and Python for them; the code that runs while Python ends
    would print its own pages.
    """
    with contextlib.suppress(OSError, ValueError):
        print(line, file=sys.stderr, flush=True)
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    if not is_whole_program():
        sys.exit(code)
    if jax.distributed.is_initialized():
        with contextlib.suppress(Exception):
            # Or the other processes would report the end of this one as a crash.
            jax.distributed.shutdown()
    os._exit(code)


def _open_standard_files() -> None:
    """Opens those of the standard files that are closed on nothing, and lets names of any bytes be printed."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            try:
                os.fstat(number)
            except OSError:
                # Takes the lowest free number: what C++ prints would else go into the next file that is opened.
                os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, open(os.devnull, "r+"))  # noqa: SIM115
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
