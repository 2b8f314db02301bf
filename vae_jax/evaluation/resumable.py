"""What a long evaluation has done so far, in a file that a later call goes on from."""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vae_jax.paths import as_path


def fingerprint(one: Callable[..., Any], key: jax.Array, params: Any, data: Any) -> str:
    """What tells that kept estimates are those that are asked for: a hash of the program and of all it is given.

    one: `(params, key, i, example)`, what is computed of one example; data: the examples. The program is taken as
    it is lowered for one example: names would not tell two models or two transforms of the same name apart.
    """
    example = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape[1:], jnp.result_type(a)), data)
    # By shapes alone, so that the devices which the parameters lie on do not count.
    arguments = jax.eval_shape(lambda *a: a, params, key, jnp.int32(0), example)
    digest = hashlib.sha256(jax.jit(one).lower(*arguments).as_text().encode())
    for leaf in [jax.random.key_data(key), *jax.tree.leaves((params, data))]:
        array = np.ascontiguousarray(leaf)
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def load_done(path: str | Path, of: str) -> dict[str, np.ndarray]:
    """The values kept in a file, {name: [done]}, if they are of that fingerprint and whole; else none."""
    path = as_path(path)
    if not path.exists():
        return {}
    try:
        file = np.load(io.BytesIO(path.read_bytes()))
        kept = dict(file) if isinstance(file, np.lib.npyio.NpzFile) else {}
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error):
        return {}
    if str(kept.pop("of", "")) != of or len({len(np.atleast_1d(values)) for values in kept.values()}) != 1:
        return {}
    return kept


def save_done(path: str | Path, values: dict[str, np.ndarray], of: str) -> None:
    """Writes the values under their fingerprint; the file is there whole or not at all."""
    path = as_path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    np.savez(content, of=np.str_(of), **values)  # type: ignore[arg-type]
    partial = path.with_suffix(".partial")
    partial.write_bytes(content.getvalue())
    partial.replace(path)
