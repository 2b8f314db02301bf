"""Long work on many examples: in pieces, with progress, kept beside its result, going on where it stopped."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from vae_jax.data.hashing import split_hash
from vae_jax.evaluation.resumable import load_done, save_done

# Between two lines of progress, each of which keeps what is done: so much at most is done anew after a stop.
SECONDS = 10.0

Values = dict[str, np.ndarray]


def in_pieces(
    work: Callable[[slice], Values],
    num: int,
    what: str,
    *,
    piece: int,
    path: Path | None = None,
    of: Any = None,
) -> Values:
    """`work` on the examples 0, ..., num - 1 in pieces, joined: {name: [num, ...]}. Shows progress and time left.

    work: of `slice(start, stop)`; what it gives of an example must not depend on the piece that it is in. piece:
    how many examples at once, the last piece up to twice as many. what: for the progress, as "examples scored".
    path: of the result; what is done lies beside it in a file of the same name with .partial.npz, which a call with
    the same `of`, a tree of arrays and numbers that the result depends on, reads and goes on from. `forget` removes
    it when the result is written.
    """
    beside, key = _beside(path), "" if path is None else split_hash(of)
    done = (load_done(beside, key) if beside else None) or {}
    seconds = float(done.pop("seconds", 0.0))
    first = next((len(values) for values in done.values()), 0)
    parts, at, begin = [done] if done else [], first, time.perf_counter()
    said = begin
    while at < num:
        stop = num if num - at < 2 * piece else at + piece
        parts.append(work(slice(at, stop)))
        at, now = stop, time.perf_counter()
        if at < num and now - said >= SECONDS:
            said = now
            parts = [_joined(parts)]
            if beside:
                save_done(beside, parts[0], seconds + now - begin, key)
            left = (now - begin) / (at - first) * (num - at)
            print(f"{at}/{num} {what}, {left:.0f} s left", flush=True)
    joined = _joined(parts)
    if beside and at > first and time.perf_counter() - begin >= SECONDS:
        # The result may find no place on the disk.
        save_done(beside, joined, seconds + time.perf_counter() - begin, key)
    return joined


def forget(path: Path) -> None:
    """Removes what `in_pieces` kept beside a result that is written."""
    beside = _beside(path)
    if beside is not None:
        beside.unlink(missing_ok=True)


def _beside(path: Path | None) -> Path | None:
    return None if path is None else path.with_name(f"{path.name}.partial.npz")


def _joined(parts: list[Values]) -> Values:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
