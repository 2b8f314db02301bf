"""Independent categorical distributions over the integers 0, 1, ..., K - 1."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Float, Num

from vae_jax.distributions.base import Support, check_event
from vae_jax.distributions.discretized_logistic import is_level

Array = jax.Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Categorical:
    """Independent integers with P(x_i = k) = softmax(logits_i)_k.

    log P(x) = sum_i [ logits_i[x_i] - logsumexp(logits_i) ]

    `logits`: [*event, K]. What is none of 0, 1, ..., K - 1 has no mass: log P(x) is -inf.
    """

    logits: Float[Array, "*event K"]

    @property
    def _shape(self) -> tuple[int, ...]:
        return jnp.shape(self.logits)[:-1]

    def sample(self, key: Array) -> Float[Array, "*event"]:
        """0, 1, ... or K - 1 in the dtype of the logits: [*event]."""
        draw = jax.random.categorical(key, self.logits, axis=-1)
        return draw.astype(jnp.result_type(self.logits, jnp.float32))

    def log_prob(self, x: Num[Array, "*event"]) -> Float[Array, ""]:
        """log P(x) summed over the event, a scalar in nats. x: [*event], integers or floats that are such."""
        terms = self._terms(x)
        # Of x alone, so that under `vmap` over z the elements are compared once.
        inside = jnp.all(is_level(x, self.logits.shape[-1]))
        # Flat, because XLA on CPU sums over a last axis of length 1, as images have, ten times more slowly.
        return jnp.where(inside, jnp.sum(jnp.ravel(terms)), -jnp.inf)

    def log_prob_each(self, x: Num[Array, "*event"]) -> Float[Array, "*event"]:
        """log P(x_i), -inf where x_i is no such integer: [*event] in nats. x: [*event]."""
        return jnp.where(is_level(x, self.logits.shape[-1]), self._terms(x), -jnp.inf)

    def mean(self) -> Float[Array, "*event"]:
        """sum_k k P(x_i = k): [*event]."""
        return jax.nn.softmax(self.logits, axis=-1) @ self._integers()

    def stddev(self) -> Float[Array, "*event"]:
        """sqrt( sum_k (k - mean)^2 P(x_i = k) ): [*event]."""
        integers = jnp.reshape(self._integers(), (*(1 for _ in self._shape), -1))
        squares = (integers - self.mean()[..., None]) ** 2
        return jnp.sqrt(jnp.sum(jax.nn.softmax(self.logits, axis=-1) * squares, axis=-1))

    def support(self) -> Support:
        """Integers."""
        return "integer"

    def _integers(self) -> Float[Array, " K"]:
        return jnp.arange(self.logits.shape[-1], dtype=self.logits.dtype)

    def _terms(self, x: Array) -> Array:
        check_event(jnp.shape(x), self._shape, "Categorical.log_prob got an array")
        index = jnp.clip(x, 0, self.logits.shape[-1] - 1).astype(jnp.int32)
        # Without `log_softmax`, which would write all K numbers again, at five times the cost of a gradient.
        chosen = jnp.take_along_axis(self.logits, index[..., None], axis=-1)[..., 0]
        return chosen - jax.nn.logsumexp(self.logits, axis=-1)
