"""What tells that data, or parameters, are those of an earlier call."""

from __future__ import annotations

import hashlib
from typing import Any

import jax
import numpy as np

_FEW = 1000


def content_hash(arrays: Any) -> str:
    """SHA-256 of the bytes of all arrays of a tree, in order: the digest that runs and checkpoints hold.

    Shapes and dtypes are not part of it, and never will be, for runs begun before must resume.
    """
    digest = hashlib.sha256()
    for array in jax.tree.leaves(arrays):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def split_hash(*parts: Any) -> str:
    """SHA-256 of the parts of a split, as `split_hash(train, validation, test)`: one more photo changes it.

    Each part is a pytree, of which the hash takes the structure, and shape, dtype and values of each array, in one
    byte order. Of a `Source` of examples it takes the length and a thousand examples, evenly spread.
    """
    digest = hashlib.sha256()
    for part in parts:
        leaves = jax.tree_util.tree_flatten_with_path(part)[0]
        digest.update(f"part of {len(leaves)};".encode())
        for path, leaf in leaves:
            digest.update(jax.tree_util.keystr(path).encode())
            for array in [leaf] if hasattr(leaf, "dtype") else _sampled(leaf):
                _add(digest, np.asarray(array))
    return digest.hexdigest()


def _sampled(source: Any) -> list[Any]:
    if not hasattr(source, "__len__"):
        return [source]
    some = np.unique(np.linspace(0, len(source) - 1, min(len(source), _FEW), dtype=int))
    return [len(source), *(leaf for i in some.tolist() for leaf in jax.tree.leaves(source[i]))]


def _add(digest: Any, array: np.ndarray) -> None:
    little = array.dtype.newbyteorder("<")
    digest.update(f"{little.str}{array.shape};".encode())
    digest.update(np.ascontiguousarray(array, dtype=little).tobytes())
