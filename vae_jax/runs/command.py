"""From a command line to an experiment."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import jax

from vae_jax.errors import InputError, printable
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
        _hear_interrupts()
        given = sys.argv[1:] if arguments is None else arguments
        config, how = parse(
            config_type, given, default=default, positional=positional, description=description, prog=prog
        )
        prepare(how)
        # What goes wrong is printed in one line; Orbax and its event loop would add pages of their own.
        sys.unraisablehook = _interrupted_again
        for name in ("absl", "asyncio"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
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
    if not _is_whole_program():
        sys.exit(code)
    if jax.distributed.is_initialized():
        with contextlib.suppress(Exception):
            # Or the other processes would report the end of this one as a crash.
            jax.distributed.shutdown()
    os._exit(code)


def _is_whole_program() -> bool:
    """Whether the stack is that of a command: no notebook, test, debugger or program of somebody else's."""
    frame: Any = sys._getframe()
    while frame is not None:
        name = frame.f_globals.get("__name__", "").partition(".")[0]
        if name not in ("__main__", "runpy", "vae_jax", "experiments"):
            return False
        frame = frame.f_back
    return True


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


def _interrupted_again(unraisable: Any) -> None:
    """Repeats a Ctrl-C that came into a callback, of a weak reference say, where Python drops what is raised."""
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        main = threading.main_thread().ident
        threading.Timer(0.01, signal.pthread_kill, (main, signal.SIGINT)).start()


def _hear_interrupts() -> None:
    """Lets Ctrl-C raise KeyboardInterrupt again, where `experiments` ended the process by it during the imports."""
    in_main = threading.current_thread() is threading.main_thread()
    if in_main and callable(signal.getsignal(signal.SIGINT)):
        signal.signal(signal.SIGINT, signal.default_int_handler)
