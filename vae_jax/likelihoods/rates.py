"""The log means that decoders of counts emit, with and without the size of an example."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Num

Array = jax.Array
MAX_LOG_MEAN = 30.0
LEAST_SIZE = 1e-30


def log_mean(raw: Float[Array, "*event"], size: Num[Array, ""] | None) -> Float[Array, "*event"]:
    """Log means from unbounded outputs of a network, [*event].

    With the size of an example, as the number of words of a text, they are its shares: log size + log_softmax(raw)
    over the whole event, so that the means sum to the size. A size of 0 counts as 1e-30: all counts are 0 with
    certainty, to float32, and the gradient is 0. Without a size log m = raw; above 30, a mean of 1e13, it is
    30 + log(raw - 29): smooth, finite, and with a gradient that leads back.
    """
    if size is not None:
        size = jnp.maximum(jnp.asarray(size).astype(raw.dtype), LEAST_SIZE)
        return jnp.log(size) + jax.nn.log_softmax(raw, axis=tuple(range(raw.ndim)))
    # Not log1p, which takes 2.4 times as long on CPU and is no better where its argument is 0 or beside 30.
    return jnp.minimum(raw, MAX_LOG_MEAN) + jnp.log(jnp.maximum(raw - (MAX_LOG_MEAN - 1), 1))


def bounded_log_r(raw: Float[Array, "*event"]) -> Float[Array, "*event"]:
    """log r from a parameter without bounds: 35 tanh(raw / 35), an r within 1e-15 and 1e15."""
    return 35.0 * jnp.tanh(raw / 35.0)


def log_of_mean(examples: Any) -> Float[np.ndarray, "*event"]:
    """The log of the mean of examples, [*event]. What is 0 in all of them counts as half a 1 among them."""
    mean = np.mean(np.asarray(examples, np.float64), axis=0)
    logs: np.ndarray = np.log(np.maximum(mean, 0.5 / len(examples))).astype(np.float32)
    return logs
