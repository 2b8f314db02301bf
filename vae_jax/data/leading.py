"""The one number that all arrays of a data set share: how many examples there are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from vae_jax.errors import InputError


def num_examples(data: Any, *, name: str = "data") -> int:
    """The common length of the leading axes of a pytree of arrays, [num_examples, *event] each.

    A gather on the device clamps an index beyond the end of a shorter array, in silence, so lengths are compared
    where data enter. Arrays under `jit`, and shapes alone, will do.

    Raises InputError, which calls the tree `name`, where two lengths differ (with both), where a leaf is a number
    without an axis, and where there is no array.
    """
    leaves = jax.tree_util.tree_flatten_with_path(data, is_leaf=lambda node: isinstance(node, Iterator))[0]
    if not leaves:
        raise InputError(f"{name}: no array in {type(data).__name__}; expected arrays [num_examples, *event]")
    lengths = []
    for path, leaf in leaves:
        shape = np.shape(leaf)
        if not shape:
            raise InputError(
                f"{_called(name, path)} is a single {type(leaf).__name__}: expected arrays [num_examples, *event]; "
                "make one array of a list by np.array, and of a number by repeating it for each example"
            )
        lengths.append(shape[0])
    for (path, _), length in zip(leaves, lengths, strict=True):
        if length != lengths[0]:
            raise InputError(
                f"{_called(name, leaves[0][0])} has {lengths[0]} examples and {_called(name, path)} has {length}: "
                "expected the same number in all arrays; cut the longer one, or load both from one source"
            )
    return int(lengths[0])


def _called(name: str, path: tuple[Any, ...]) -> str:
    return name + jax.tree_util.keystr(path)
