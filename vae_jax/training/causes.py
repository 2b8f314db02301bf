"""What stands behind a loss that is not finite, where the batch tells."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from vae_jax.data.batches import NextBatch

Array = jax.Array


def fault_in_batch(next_batch: NextBatch, data: Any, key: Array, step: int, *, explains_range: bool) -> str:
    """What is wrong with the values of batch `step`, or "" where nothing is.

    The batch is `next_batch(data, key, step)`, a pytree of arrays whose first leaf is x: [batch, *event].
    explains_range: whether values outside [0, 1], where a Bernoulli has no probability, would explain the failure.
    """

    # Reduced where the batch lies: it may be spread over the devices of several processes.
    @jax.jit
    def summary(data: Any, key: Array, step: Array) -> tuple[Array, Array, Array]:
        leaves = [jnp.asarray(leaf) for leaf in jax.tree.leaves(next_batch(data, key, step))]
        floats = [leaf for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.inexact)]
        finite = jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in floats])) if floats else jnp.array(True)
        numbers = [leaf for leaf in leaves[:1] if jnp.issubdtype(leaf.dtype, jnp.number)]
        x = numbers[0] if numbers else jnp.zeros(())
        return jnp.min(x), jnp.max(x), finite

    low, high, finite = (value.item() for value in summary(data, key, jnp.int32(step)))
    if not finite:
        return "its batch holds values that are NaN or infinite: remove them from the data"
    if explains_range and not 0 <= low <= high <= 1:
        return (
            f"the values of its batch lie in [{low:.6g}, {high:.6g}], and a Bernoulli likelihood, if it is one, is "
            "0 outside [0, 1]: take a likelihood that fits (vae_jax.likelihoods.NormalPixels for real numbers), "
            "or scale pixels to [0, 1] (8-bit images: divide by 255)"
        )
    return ""
