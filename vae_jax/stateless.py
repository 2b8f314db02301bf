"""A network is a function of its parameters and one example: layers with noise or a state are refused."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from vae_jax.errors import InputError

_EXPECTED = (
    "expected a function of the parameters and one example; leave such layers out, or use one without state or "
    "noise, as LayerNorm or GroupNorm (BatchNorm mixes the examples of a batch)"
)
# By name, for only the networks know Flax.
_OF_FLAX = {
    "InvalidRngError": "draws random numbers when it is applied, as Dropout does",
    "ModifyScopeVariableError": "changes a state of its own when it is applied, as BatchNorm does",
    "ScopeCollectionNotFound": "reads a state that is not among the parameters, as BatchNorm does",
}


@contextlib.contextmanager
def stateless_networks() -> Iterator[None]:
    """Around what calls a network: the errors of Flax that a VAE cannot work with become InputError."""
    try:
        yield
    except Exception as error:
        does = _OF_FLAX.get(type(error).__name__)
        if does is None:
            raise
        raise InputError(f"a network {does}: {_EXPECTED}") from error


def check_params(params: Any) -> None:
    """Raises InputError for parameters that no gradient can train. params: a pytree of arrays, traced or not."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        called = f"params{jax.tree_util.keystr(path)}"
        if any(getattr(key, "key", None) == "batch_stats" for key in path):
            raise InputError(f"{called} is a statistic and no parameter: {_EXPECTED}")
        dtype = getattr(leaf, "dtype", None) or jnp.result_type(leaf)
        if not jnp.issubdtype(dtype, jnp.inexact):
            raise InputError(
                f"{called} has dtype {dtype}: expected floating-point parameters, which a gradient can train; "
                "close over constants instead"
            )
