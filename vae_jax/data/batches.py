"""Training batches as a pure function of the data, a key and the step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import Int, Key

from vae_jax.data.leading import num_examples
from vae_jax.data.sampling import shuffled_indices

Array = jax.Array
NextBatch = Callable[[Any, Array, Array], Any]  # data, key, step -> batch


def shuffled_batches(
    batch_size: int, transform: Callable[[Key[Array, ""], Any], Any] = lambda key, example: example
) -> NextBatch:
    """Batches in a fresh order each epoch, each example transformed with a key of its own.

    Returns `next_batch(data, key, step) -> batch`, as `fit` takes it: data is a pytree of arrays with a leading
    axis, [num_examples, *event], and the batch has [batch_size, ...] of what `transform(key, example)` returns
    (binarization, rendering). Each epoch is num_examples // batch_size steps long and visits no example twice.
    Raises InputError for a batch larger than the data, and for arrays that differ in their number of examples.
    """

    def next_batch(data: Any, key: Array, step: Array) -> Any:
        order_key, noise_key = jax.random.split(key)
        i = shuffled_indices(order_key, step, num_examples=num_examples(data), batch_size=batch_size)
        return transformed(transform, noise_key, step, jax.tree.map(lambda a: a[i], data))

    return next_batch


def transformed(
    transform: Callable[[Key[Array, ""], Any], Any], key: Array, step: Int[Array, ""], examples: Any
) -> Any:
    """The examples of batch `step`, each transformed with a key of its own. examples: [batch_size, *event]."""
    keys = jax.random.split(jax.random.fold_in(key, step), num_examples(examples, name="examples"))
    return jax.vmap(transform)(keys, examples)
