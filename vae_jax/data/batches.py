"""Training batches as a pure function of the data, a key and the step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from vae_jax.data.sampling import shuffled_indices

Array = jax.Array


def shuffled_batches(
    batch_size: int, transform: Callable[[Array, Any], Any] = lambda key, example: example
) -> Callable[[Any, Array, Array], Any]:
    """Batches in a fresh order each epoch, each example transformed with a key of its own.

    Returns `next_batch(data, key, step) -> batch`, as `fit` takes it: data is a pytree of arrays with a leading
    axis, [num_examples, *event], and the batch has [batch_size, ...] of what `transform(key, example)` returns
    (binarization, rendering). Each epoch is num_examples // batch_size steps long and visits no example twice.
    Raises InputError for a batch larger than the data.
    """

    def next_batch(data: Any, key: Array, step: Array) -> Any:
        order_key, noise_key = jax.random.split(key)
        num_examples = jax.tree.leaves(data)[0].shape[0]
        i = shuffled_indices(order_key, step, num_examples=num_examples, batch_size=batch_size)
        return transformed(transform, noise_key, step, jax.tree.map(lambda a: a[i], data))

    return next_batch


def transformed(transform: Callable[[Array, Any], Any], key: Array, step: Array, examples: Any) -> Any:
    """The examples of batch `step`, each transformed with a key of its own. examples: [batch_size, *event]."""
    batch_size = jax.tree.leaves(examples)[0].shape[0]
    keys = jax.random.split(jax.random.fold_in(key, step), batch_size)
    return jax.vmap(transform)(keys, examples)
