"""Independent categories without an order, each element with a number of them of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float, Num

from vae_jax.distributions.base import Support, check_event
from vae_jax.errors import InputError

Array = jax.Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Categories:
    """Independent codes x_i = 0, ..., K_i - 1 of categories that have no order, P(x_i = k) = softmax(logits_i)_k.

    log p(x) = sum_i log softmax(logits_i)[x_i],  -inf for what is no code

    `logits`: [*event, K] with K the largest K_i, -inf for the categories that an element does not have.
    """

    logits: Float[Array, "*event K"]

    def sample(self, key: Array) -> Float[Array, "*event"]:
        """Codes in the dtype of the logits: [*event]."""
        return jax.random.categorical(key, self.logits).astype(self.logits.dtype)

    def log_prob(self, x: Num[Array, "*event"]) -> Float[Array, ""]:
        """log p(x) summed over the event, a scalar in nats. x: [*event]."""
        return jnp.sum(jnp.ravel(self.log_prob_each(x)))

    def log_prob_each(self, x: Num[Array, "*event"]) -> Float[Array, "*event"]:
        """The term of each element, [*event] in nats. x: [*event]."""
        check_event(jnp.shape(x), self.logits.shape[:-1], "Categories.log_prob got an array")
        # Not a gather: the scatter of its gradient is slow on a CPU.
        codes = jnp.broadcast_to(jnp.arange(self.logits.shape[-1], dtype=self.logits.dtype), self.logits.shape)
        chosen = codes == jnp.asarray(x)[..., None].astype(self.logits.dtype)
        log_p = jnp.sum(jnp.where(chosen, jax.nn.log_softmax(self.logits), 0), axis=-1)
        return jnp.where(jnp.any(chosen, axis=-1), log_p, -jnp.inf)

    def mean(self) -> Any:
        """Raises InputError: the mean of codes is that of no category."""
        raise InputError(
            "Categories: categories without an order have no mean; use `center`, the most probable, or draw samples"
        )

    def center(self) -> Float[Array, "*event"]:
        """The code of the most probable category, in the dtype of the logits: [*event]."""
        return jnp.argmax(self.logits, axis=-1).astype(self.logits.dtype)

    def support(self) -> Support:
        """Codes 0, 1, ..."""
        return "integer"
