"""Long work on many examples that is kept beside its result until it is whole, and goes on where it stopped."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from vae_jax.data.hashing import content_hash
from vae_jax.evaluation.resumable import load_done, save_done

# So many examples at most are done anew after a stop.
STRIDE = 1024


def kept(
    path: Path, work: Callable[[slice], dict[str, np.ndarray]], num: int, of: Any, what: str
) -> dict[str, np.ndarray]:
    """`work` on the examples in pieces, joined: {name: [num, ...]}. Shows progress and the time left.

    path: of the result; what is done lies beside it in a file of the same name with .partial.npz, and is used again
    by a call that has the same `of`, arrays and numbers that the result depends on. what: for the progress.
    """
    beside, key = path.with_name(f"{path.name}.partial.npz"), content_hash(of)
    done = load_done(beside, key) or {}
    seconds = float(done.pop("seconds", 0.0))
    first = next((len(values) for values in done.values()), 0)
    parts, begin, at = [done] if done else [], time.perf_counter(), first
    while at < num:
        stop = min(at + STRIDE, num)
        parts = [_joined([*parts, work(slice(at, stop))])]
        spent = time.perf_counter() - begin
        at = stop
        if at < num:
            save_done(beside, parts[0], seconds + spent, key)
            print(f"{at}/{num} {what}, {spent / (at - first) * (num - at):.0f} s left", flush=True)
    beside.unlink(missing_ok=True)
    return parts[0]


def _joined(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
