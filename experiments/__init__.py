"""Published protocols, one file each: its docstring is the command and the result to expect."""

import os
import signal
import sys


def _interrupted(number: int, frame: object) -> None:
    os.write(2, b"\nstopped before anything was done\n")
    os._exit(130)


# Imports take the first second of a command, before `command_line` can turn Ctrl-C into one line. While Python
# looks for the module of `python -m experiments...`, its first argument is "-m"; nobody else's Ctrl-C is touched.
if sys.argv[:1] == ["-m"] and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, _interrupted)
