"""What a long evaluation has done so far, in a file that a later call goes on from."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from vae_jax.paths import as_path


def fingerprint(estimator: Callable[..., Any], tunables: dict[str, Any], key: jax.Array, arrays: Any) -> str:
    """What tells that kept estimates are those that are asked for: a hash of the estimator and all it is given.

    arrays: a tree of arrays, the parameters and the data. An estimator counts by its name, its settings by what
    they print.
    """
    names = getattr(estimator, "__qualname__", repr(estimator)), sorted((k, _named(v)) for k, v in tunables.items())
    digest = hashlib.sha256(repr(names).encode())
    for leaf in [jax.random.key_data(key), *jax.tree.leaves(arrays)]:
        array = np.ascontiguousarray(leaf)
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def load_done(path: str | Path, of: str) -> dict[str, np.ndarray]:
    """The values kept in a file, {name: [done]}, if they are of that fingerprint; else none."""
    path = as_path(path)
    if not path.exists():
        return {}
    with np.load(io.BytesIO(path.read_bytes())) as file:
        return {name: file[name] for name in file.files if name != "of"} if str(file["of"]) == of else {}


def save_done(path: str | Path, values: dict[str, np.ndarray], of: str) -> None:
    """Writes the values under their fingerprint; the file is there whole or not at all."""
    path = as_path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    np.savez(content, of=np.str_(of), **values)  # type: ignore[arg-type]
    partial = path.with_suffix(".partial")
    partial.write_bytes(content.getvalue())
    partial.replace(path)


def _named(value: Any) -> str:
    return getattr(value, "__qualname__", None) or repr(value)
