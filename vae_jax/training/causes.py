"""What stands behind an error from deep inside: the cause and the way out, in one line."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp

from vae_jax.errors import InputError

Array = jax.Array
_STATELESS = (
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
def named_causes() -> Iterator[None]:
    """Around what calls a network: the errors of Flax that a VAE cannot work with become InputError."""
    try:
        yield
    except Exception as error:
        does = _OF_FLAX.get(type(error).__name__)
        if does is None:
            raise
        raise InputError(f"a network {does}: {_STATELESS}") from error


def check_params(params: Any) -> None:
    """Raises InputError for parameters that no gradient can train. params: a pytree of arrays, traced or not."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        called = f"params{jax.tree_util.keystr(path)}"
        if any(getattr(key, "key", None) == "batch_stats" for key in path):
            raise InputError(f"{called} is a statistic and no parameter: {_STATELESS}")
        dtype = getattr(leaf, "dtype", None) or jnp.result_type(leaf)
        if not jnp.issubdtype(dtype, jnp.inexact):
            raise InputError(
                f"{called} has dtype {dtype}: expected floating-point parameters, which a gradient can train; "
                "close over constants instead"
            )


def fault_in_batch(make: Callable[[], Any], *, explains_range: bool) -> str:
    """What is wrong with the values of a batch, or "" where nothing is.

    make: gives the batch, a pytree of arrays whose first leaf is x: [batch, *event]. explains_range: whether values
    outside [0, 1], on which a Bernoulli has no probability, would explain what happened.
    """

    # Reduced where the batch lies: it may be spread over the devices of several processes.
    @jax.jit
    def summary() -> tuple[Array, Array, Array]:
        leaves = [jnp.asarray(leaf) for leaf in jax.tree.leaves(make())]
        floats = [leaf for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.inexact)]
        finite = jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in floats])) if floats else jnp.array(True)
        numbers = [leaf for leaf in leaves[:1] if jnp.issubdtype(leaf.dtype, jnp.number)]
        x = numbers[0] if numbers else jnp.zeros(())
        return jnp.min(x), jnp.max(x), finite

    low, high, finite = (value.item() for value in summary())
    if not finite:
        return "its batch holds values that are NaN or infinite: remove them from the data"
    if explains_range and not 0 <= low <= high <= 1:
        return (
            f"the values of its batch lie in [{low:.6g}, {high:.6g}], and a Bernoulli likelihood is 0 outside "
            "[0, 1]: scale or binarize the data (8-bit images: divide by 255), or take a likelihood that fits them"
        )
    return ""
