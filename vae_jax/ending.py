"""How the process of a command ends: after one line, by Ctrl-C also in the first seconds, which its imports take.

The top face imports this module before all others. Of itself it acts in the processes of our own commands only; a
program that imports the library keeps the Ctrl-C that it has.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from typing import Any, NoReturn

INPUT_ERROR, INTERRUPTED = 2, 130


def end(code: int, line: str) -> NoReturn:
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
    import jax  # here, for of this module the imports are what it guards

    if jax.distributed.is_initialized():
        with contextlib.suppress(Exception):
            # Or the other processes would report the end of this one as a crash.
            jax.distributed.shutdown()
    os._exit(code)


def _interrupted(number: int, frame: Any) -> NoReturn:
    # An exception could be lost in what is being imported, or come as pages.
    os.write(2, b"\nstopped before anything was done\n")
    os._exit(INTERRUPTED)


def end_at_once() -> None:
    """From here on Ctrl-C ends the process; not where the program hears it by itself, or ignores it."""
    in_main = threading.current_thread() is threading.main_thread()
    if in_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupted)


def raise_again() -> None:
    """From here on Ctrl-C raises KeyboardInterrupt, where it ended the process so far."""
    if signal.getsignal(signal.SIGINT) is _interrupted:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def come_again(unraisable: Any) -> None:
    """A hook of `sys` for what Python cannot raise: Ctrl-C that a callback lost comes again, the rest is silent.

    JAX has a callback of the garbage collector, so that Ctrl-C is lost now and then.
    """
    if unraisable.exc_type is KeyboardInterrupt:
        # After the callback, which would lose it again; as a signal, which also wakes what sleeps.
        main = threading.main_thread().ident
        later = threading.Timer(0.1, signal.pthread_kill, (main, signal.SIGINT))
        later.daemon = True
        later.start()


def is_whole_program() -> bool:
    """Whether the stack is that of a command: no notebook, test, debugger or program of somebody else's."""
    frame: Any = sys._getframe()
    while frame is not None:
        name = frame.f_globals.get("__name__", "").partition(".")[0]
        if name not in ("__main__", "runpy", "vae_jax", "experiments"):
            return False
        frame = frame.f_back
    return True


def _starts_a_command() -> bool:
    """Whether this process is `vae-jax`, or `python -m` of this package or of the experiments."""
    if os.path.splitext(os.path.basename("".join(sys.argv[:1])))[0] == "vae-jax":
        return True
    # While Python looks for the module, its first argument is "-m", and the whole line is kept elsewhere.
    asked = {name.partition(".")[0] for m, name in zip(sys.orig_argv, sys.orig_argv[1:], strict=False) if m == "-m"}
    return sys.argv[:1] == ["-m"] and bool(asked & {"vae_jax", "experiments"})


if _starts_a_command():
    end_at_once()
