"""Independent Laplace distributions: their tails are heavier than a normal's, and their centre is a median."""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Float, Num

from vae_jax.distributions.base import Support, check_event

Array = jax.Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Laplace:
    """Independent Laplace distributions.

    log p(x) = -sum_i [ |x_i - loc_i| / scale_i + log(2 scale_i) ]

    `loc`, `scale`: [*event], or broadcastable to each other. Scale is above 0, the mean absolute deviation.
    """

    loc: Float[Array, "*#event"]
    scale: Float[Array, "*#event"]

    @property
    def _shape(self) -> tuple[int, ...]:
        return jnp.broadcast_shapes(jnp.shape(self.loc), jnp.shape(self.scale))

    def sample(self, key: Array) -> Float[Array, "*event"]:
        """loc + scale * eps, eps of the standard Laplace distribution: [*event], reparameterized."""
        eps = jax.random.laplace(key, self._shape, jnp.result_type(self.loc, self.scale, jnp.float32))
        return self.mean() + jnp.broadcast_to(self.scale, self._shape) * eps

    def log_prob(self, x: Num[Array, "*event"]) -> Float[Array, ""]:
        """log p(x) summed over the event, a scalar in nats. x: [*event]."""
        # Flat, because XLA on CPU sums over a last axis of length 1, as images have, ten times more slowly.
        return jnp.sum(jnp.ravel(self.log_prob_each(x)))

    def log_prob_each(self, x: Num[Array, "*event"]) -> Float[Array, "*event"]:
        """-|x_i - loc_i| / scale_i - log(2 scale_i), [*event] in nats. x: [*event]."""
        check_event(jnp.shape(x), self._shape, "Laplace.log_prob got an array")
        scale = jnp.broadcast_to(self.scale, self._shape)
        return -(jnp.abs(x - self.mean()) / scale + jnp.log(scale) + math.log(2))

    def mean(self) -> Float[Array, "*event"]:
        """loc: [*event]."""
        return jnp.broadcast_to(self.loc, self._shape)

    def stddev(self) -> Float[Array, "*event"]:
        """sqrt(2) scale: [*event]."""
        return math.sqrt(2) * jnp.broadcast_to(self.scale, self._shape)

    def support(self) -> Support:
        """All real numbers."""
        return "real"
