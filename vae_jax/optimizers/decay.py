"""Which parameters a weight decay pulls to 0."""

from __future__ import annotations

from typing import Any

import jax

# Of these parts of a model 0 is no neutral value: it would pull pseudo-inputs, components and scales together.
_PARTS = ("prior", "posterior", "likelihood")


def decayed(params: Any) -> Any:
    """True for the weights of networks, arrays of two axes or more: a tree like params, for `mask` of Optax.

    Biases, scales of a normalization, and what a prior, posterior or likelihood holds are not decayed: a decay is a
    normal prior around 0 on the weights of a linear map, and there 0 means no connection. An output bias at the
    marginals of the data, or a learned standard deviation, has no reason to be 0.
    """

    def is_weight(path: tuple[Any, ...], leaf: Any) -> bool:
        return leaf.ndim >= 2 and not (path and getattr(path[0], "key", None) in _PARTS)

    return jax.tree_util.tree_map_with_path(is_weight, params)
