"""Interleaved timing: what slows one side slows the other too, and ratios are what is left."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

# What is measured -> its median, how many times as long as ours it takes, and the quartiles of that ratio.
Table = dict[str, dict[str, Any]]
# Builds what is timed, in the process where it runs: a function of a module, with its arguments by
# `functools.partial`. What it builds must return only when its work is done; None where it cannot run here.
Side = Callable[[], Callable[[], object] | None]

# How every side is started, unless a variable is set already. Without large pages the same program takes up to 1.5
# times as long in one process as in the next, by where its memory happens to lie; glibc reads the tunable when a
# process starts. Several processes that use JAX cannot share an accelerator.
ENVIRONMENT = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1", "JAX_PLATFORMS": "cpu"}


def environment() -> dict[str, str]:
    """The variables that every side is started with."""
    return {name: os.environ.get(name, value) for name, value in ENVIRONMENT.items()}


def interleaved(sides: dict[str, Side], *, repeats: int = 9) -> dict[str, np.ndarray]:
    """Seconds of each side, [repeats], a call of each in turn after one of each to warm up.

    Each side lives in a process of its own: neither the threads of one nor the memory that it used are in the way
    of the other. Sides that cannot run are left out. Raises RuntimeError for one that fails.
    """
    with contextlib.ExitStack() as stack:
        calls = {name: stack.enter_context(_process(name, side)) for name, side in sides.items()}
        there = {name: call for name, call in calls.items() if call() is not None}
        seconds = [[call() for call in there.values()] for _ in range(repeats)]
    return dict(zip(there, np.array(seconds).T, strict=True))


@contextlib.contextmanager
def _process(name: str, side: Side) -> Iterator[Callable[[], float | None]]:
    """A process that builds the side at the first call, and tells the seconds of one more run at each."""
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(side, there))
    before = dict(os.environ)
    os.environ |= environment()
    try:
        process.start()
    finally:
        os.environ.clear()
        os.environ |= before
    there.close()

    def call() -> float | None:
        try:
            here.send(True)
            return here.recv()
        except (EOFError, ConnectionError):
            process.join()
            raise RuntimeError(
                f"{name!r} failed: its process ended with code {process.exitcode}, and printed why if it could"
            ) from None

    try:
        yield call
    finally:
        here.close()
        process.join()


def _serve(side: Side, connection: Connection) -> None:
    call: Callable[[], object] | None = None
    while _asked(connection):
        if call is None:
            call = side()
            if call is None:
                connection.send(None)
                return
        begin = time.perf_counter()
        call()
        connection.send(time.perf_counter() - begin)


def _asked(connection: Connection) -> bool:
    try:
        return connection.recv()
    except EOFError:  # nobody asks any more
        return False


def report(title: str, seconds: dict[str, np.ndarray], *, of: str) -> Table:
    """Prints the median of each call, and how many times as long as `of` it takes, with the quartiles."""
    table: Table = {}
    for name, values in seconds.items():
        low, middle, high = np.percentile(values / seconds[of], [25, 50, 75])
        table[name] = {
            "median_ms": 1e3 * float(np.median(values)),
            "ratio": float(middle),
            "quartiles": (float(low), float(high)),
        }
    rows = [(name, *_cells(row)) for name, row in table.items()]
    text = _in_markdown(("what", "median ms", f"times {of!r}", "quartiles"), rows, words=(0, 3))
    print(f"\n{title}\n\n{text}", flush=True)
    return table


def summary(tables: dict[str, Table], *, of: str = "vae_jax") -> str:
    """All tables in one: a line for each work and each of its peers. tables: work -> its table."""
    rows = [
        (work, _cells(table[of])[0], name, *_cells(row))
        for work, table in tables.items()
        for name, row in table.items()
        if name != of
    ]
    titles = ("work", "ours, ms", "other", "other, ms", "other / ours", "quartiles")
    return _in_markdown(titles, rows, words=(0, 2, 5))


def _cells(row: dict[str, Any]) -> tuple[str, str, str]:
    low, high = row["quartiles"]
    return f"{row['median_ms']:.1f}", f"{row['ratio']:.2f}", f"{low:.2f} to {high:.2f}"


def _in_markdown(titles: Sequence[str], rows: Sequence[Sequence[str]], *, words: Sequence[int]) -> str:
    # Here: a side imports this module, and the library only where it is what is timed.
    from vae_jax.runs.markdown import table_lines

    return "\n".join(table_lines(titles, rows, words=words))
