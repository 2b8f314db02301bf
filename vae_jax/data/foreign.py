"""Data of other libraries, told by their names alone: nothing of them is imported."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vae_jax.errors import InputError

_STREAM = "or, where they do not fit into memory, give their random-access source to vae_jax.data.stream"


def as_arrays(data: Any, *, name: str = "data") -> Any:
    """A pytree of arrays as JAX takes it: arrays of the machine's byte order; everything else as it was.

    Arrays of JAX, keys, and what is being traced pass through. Lengths are not compared: see `num_examples`.

    Raises InputError, which calls the tree `name` and says what to pass instead, for tensors and loaders of PyTorch
    and TensorFlow, tables of pandas, sparse matrices, generators, functions, paths, text, Python objects, and for
    integers that 32 bits cannot hold where JAX would cut them.
    """

    def convert(path: tuple[Any, ...], leaf: Any) -> Any:
        called = name + jax.tree_util.keystr(path)
        if isinstance(leaf, jax.Array | jax.ShapeDtypeStruct | bool | int | float | complex):
            return leaf
        if not isinstance(leaf, np.ndarray | np.generic):
            cure = way_out(leaf)
            if cure is None and not hasattr(leaf, "__array__"):
                cure = "pass arrays"
            if cure is not None:
                kind = f"{type(leaf).__module__}.{type(leaf).__qualname__}"
                raise InputError(f"{called} is a {kind}: expected an array of NumPy or JAX; {cure}")
            leaf = np.asarray(leaf)
        # Not by kind alone: bfloat16 has that of a structure.
        if leaf.dtype.kind in "Mm" or not (leaf.dtype.kind == "b" or jnp.issubdtype(leaf.dtype, np.number)):
            raise InputError(
                f"{called} has dtype {leaf.dtype}: expected numbers; make all examples of one shape, "
                "and number the values of text and dates"
            )
        _check_range(leaf, called)
        return native(leaf)

    return jax.tree_util.tree_map_with_path(convert, data, is_leaf=lambda node: isinstance(node, Iterator))


def native(array: Any) -> Any:
    """An array in the byte order of the machine, the only one that JAX takes; other values as they are."""
    if isinstance(array, np.ndarray | np.generic) and not array.dtype.isnative:
        return array.astype(array.dtype.newbyteorder("="))
    return array


def way_out(value: Any) -> str | None:
    """What to pass instead of a value that is no array, by the library it comes from; None where unknown."""
    libraries = {base.__module__.partition(".")[0] for base in type(value).__mro__}
    if "torch" in libraries:
        if hasattr(value, "detach"):
            return "pass x.detach().cpu().numpy()"
        return f"stack its examples into one array, {_STREAM} (a dataset, not a DataLoader)"
    if "tensorflow" in libraries:
        if hasattr(value, "numpy"):
            return "pass x.numpy()"
        return f"stack the examples of tfds.as_numpy(dataset) into one array, {_STREAM}"
    if "pandas" in libraries or "polars" in libraries:
        return "pass table.to_numpy()"
    if "scipy" in libraries and hasattr(value, "toarray"):
        return "pass x.toarray()"
    if isinstance(value, Iterator):
        return f"it can be read only once: stack its examples into one array, {_STREAM}"
    if isinstance(value, str | bytes) or hasattr(value, "__fspath__"):
        return "read the file first: vae_jax.data.load_arrays(path)"
    if callable(value):
        return "call it and pass what it returns"
    if hasattr(value, "__getitem__") and hasattr(value, "__len__") and not hasattr(value, "__array__"):
        return "give a source of examples to vae_jax.data.stream"
    return None


def _check_range(array: Any, called: str) -> None:
    if array.dtype.kind not in "iu" or array.dtype.itemsize < 8 or jax.config.jax_enable_x64 or not array.size:  # type: ignore[attr-defined]
        return
    low, high = (-(2**31), 2**31 - 1) if array.dtype.kind == "i" else (0, 2**32 - 1)
    if array.min() < low or array.max() > high:
        raise InputError(
            f"{called} has integers from {array.min()} to {array.max()}, which JAX would cut to 32 bits: number "
            "them anew, or set JAX_ENABLE_X64=1"
        )
