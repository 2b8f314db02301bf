"""Stopping on request: SIGTERM lets a run save its state first."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def sigterm_noted() -> Iterator[list[int]]:
    """A list that is empty until SIGTERM comes, which inside the `with` block does nothing else.

    The handler before it is put back at the end. Outside the main thread, where Python allows no handler, the
    list stays empty.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    before = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    try:
        yield received
    finally:
        # None stands for a handler that was not set from Python.
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)
