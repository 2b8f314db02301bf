"""From a command line to an experiment."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import jax

from vae_jax.ending import INPUT_ERROR, INTERRUPTED, come_again, end, raise_again
from vae_jax.errors import InputError, printable
from vae_jax.runs.arguments import parse
from vae_jax.runs.processes import join
from vae_jax.runs.starting import prepare


def run_command(
    main: Callable[[Any], Any],
    config_type: type,
    description: str | None = None,
    arguments: Sequence[str] | None = None,
    default: Any = None,
    positional: Sequence[str] = (),
    prog: str | None = None,
    again: str = "go on with --resume",
) -> None:
    """Calls `main(config)` with what the arguments ask for: bad input is one line and exit code 2, Ctrl-C is 130.

    arguments: by default those of this process; the rest as `vae_jax.runs.arguments.parse` takes it.
    again: what to do where it was stopped.
    """
    _open_standard_files()
    try:
        given = sys.argv[1:] if arguments is None else arguments
        try:
            config, how = parse(
                config_type, given, default=default, positional=positional, description=description, prog=prog
            )
        except SystemExit:
            sys.stdout.flush()  # of the help, where it cannot be written
            raise
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
        end(INPUT_ERROR, f"error: standard output was closed: expected a reader until the end; {again}")
    except (InputError, OSError) as error:
        end(INPUT_ERROR, f"error: {printable(' '.join(str(error).split()))}")
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" not in str(error):
            raise
        text = printable(" ".join(str(error).removeprefix("RESOURCE_EXHAUSTED: ").split()))[:200].rstrip(".")
        end(
            INPUT_ERROR,
            f"error: the memory is full ({text}): expected what fits into it; lower the batch size, or the sizes "
            "of the model or the images",
        )
    except KeyboardInterrupt:
        end(INTERRUPTED, f"\nstopped; {again}")


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
