"""Stopping on request: SIGTERM lets a run save its state first, a second one ends it at once."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def sigterm_noted() -> Iterator[list[int]]:
    """A list that is empty until SIGTERM comes, which inside the `with` block does nothing else.

    A second SIGTERM ends the process at once, with exit code 143, also inside a long compiled call. The handler
    before it is put back at the end. Outside the main thread, where Python allows no handler, the list stays empty.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    before = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    try:
        with _second_ends(signal.SIGTERM):
            yield received
    finally:
        # None stands for a handler that was not set from Python.
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)


@contextlib.contextmanager
def _second_ends(number: int) -> Iterator[None]:
    """Ends the process when the signal comes for the second time inside the `with` block.

    Handlers of Python run between two lines of the main thread, which may be inside XLA for minutes; the number of
    a signal is written to the wakeup file at once, where another thread reads it.
    """
    read, write = os.pipe()
    os.set_blocking(write, False)
    before = signal.set_wakeup_fd(write, warn_on_full_buffer=False)

    def watch() -> None:
        count = 0
        while byte := os.read(read, 1):
            count += byte[0] == number
            if count == 2:
                os.write(2, b"ended at once by a second SIGTERM; --resume goes on from the last checkpoint\n")
                os._exit(128 + number)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(write)
        thread.join()
        os.close(read)
