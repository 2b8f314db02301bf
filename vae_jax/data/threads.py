"""Work that is spread over threads, with its progress, as decoding is, during which Pillow lets others run."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

_MOST_THREADS = 16
_SECONDS_OF_SILENCE = 3
_AT_ONCE = 4096


def num_threads() -> int:
    """As many as there are processors for this process, at most 16."""
    ours = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(_MOST_THREADS, ours or 1)


def in_threads(work: Callable[[Any], Any], items: Sequence[Any], doing: str = "") -> Iterator[Any]:
    """`work` of each item, in their order; the first error is raised, and what has not begun by then is dropped.

    Where it takes more than seconds and stderr is a terminal, a line there says `doing` and how far it has come.
    Warnings are not held back here, for their list is one for all threads of the process.
    """
    pool = ThreadPoolExecutor(num_threads())
    bar = Progress(doing, len(items))
    try:
        # In pieces, for each that waits costs a kilobyte.
        for start in range(0, len(items), _AT_ONCE):
            for result in pool.map(work, items[start : start + _AT_ONCE]):
                bar.step()
                yield result
    finally:
        pool.shutdown(cancel_futures=True)
        bar.close()


class Progress:
    """A line on stderr that says how far long work has come; nothing where it is short or no terminal looks on."""

    def __init__(self, doing: str, total: int):
        self._doing, self._total, self._done = doing, total, 0
        self._start = self._shown = time.monotonic()
        self._visible = False

    def step(self, num: int = 1) -> None:
        """So many more are done."""
        self._done += num
        now = time.monotonic()
        early = now - self._start < _SECONDS_OF_SILENCE or now - self._shown < 1
        if not self._doing or early or not sys.stderr.isatty():
            return
        left = (now - self._start) / self._done * (self._total - self._done)
        line = f"\r{self._doing} {100 * self._done / self._total:.0f} %, {left:.0f} s left "
        print(line, end="", file=sys.stderr, flush=True)
        self._shown, self._visible = now, True

    def close(self) -> None:
        """Removes the line."""
        if self._visible:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
