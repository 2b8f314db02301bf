"""Interleaved timing: what slows one side slows the other too, and ratios are what is left."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

# What is measured -> its median, how many times as long as ours it takes, and the quartiles of that ratio.
Table = dict[str, dict[str, Any]]


def interleaved(calls: dict[str, Callable[[], object]], *, repeats: int = 9) -> dict[str, np.ndarray]:
    """Seconds of each call, [repeats], one call of each in turn after one of each to warm up.

    A call must return only when its work is done.
    """
    for call in calls.values():
        call()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            begin = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - begin)
    return {name: np.array(values) for name, values in seconds.items()}


def report(title: str, seconds: dict[str, np.ndarray], *, of: str) -> Table:
    """Prints the median of each call, and how many times as long as `of` it takes, with the quartiles."""
    print(f"\n{title}\n\n| what | median ms | times {of!r} | quartiles |\n| --- | ---: | ---: | --- |")
    table = {}
    for name, values in seconds.items():
        ratios = values / seconds[of]
        low, middle, high = np.percentile(ratios, [25, 50, 75])
        table[name] = {
            "median_ms": 1e3 * float(np.median(values)),
            "ratio": float(middle),
            "quartiles": (float(low), float(high)),
        }
        print(f"| {name} | {table[name]['median_ms']:.1f} | {middle:.2f} | {low:.2f} to {high:.2f} |", flush=True)
    return table


def summary(tables: dict[str, Table], *, of: str = "vae_jax") -> str:
    """All tables in one: a line for each work and each of its peers. tables: work -> its table."""
    lines = [
        "| work | ours, ms | other | other, ms | other / ours | quartiles |",
        "| --- | ---: | --- | ---: | ---: | --- |",
    ]
    for work, table in tables.items():
        ours = table[of]["median_ms"]
        for name, row in table.items():
            if name != of:
                low, high = row["quartiles"]
                lines.append(
                    f"| {work} | {ours:.1f} | {name} | {row['median_ms']:.1f} | {row['ratio']:.2f} | "
                    f"{low:.2f} to {high:.2f} |"
                )
    return "\n".join(lines)
