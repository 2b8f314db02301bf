"""A distribution in other units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float, Num

from vae_jax.distributions.base import center, log_prob_each, stddev, support

Array = jax.Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Scaled:
    """x = scale * y with y ~ base, a density over real numbers.

    log p(x) = sum_i [ log p_base,i(x_i / scale_i) - log scale_i ]

    `base`: a distribution over [*event]. `scale`: above 0, broadcastable to [*event].
    """

    base: Any
    scale: Float[Array, "*#event"]

    def sample(self, key: Array) -> Float[Array, "*event"]:
        """scale * y: [*event]."""
        y: Array = self.base.sample(key)
        return self.scale * y

    def log_prob(self, x: Num[Array, "*event"]) -> Float[Array, ""]:
        """log p(x), a scalar in nats of the units of x. x: [*event]."""
        log_scale = jnp.broadcast_to(jnp.log(self.scale), jnp.shape(x))
        log_p: Array = self.base.log_prob(x / self.scale)
        return log_p - jnp.sum(jnp.ravel(log_scale))

    def log_prob_each(self, x: Num[Array, "*event"]) -> Float[Array, "*event"]:
        """The terms of the elements, [*event] in nats. x: [*event]."""
        return log_prob_each(self.base, x / self.scale) - jnp.log(self.scale)  # type: ignore[no-any-return]

    def mean(self) -> Float[Array, "*event"]:
        """scale * E[y]: [*event]."""
        y: Array = self.base.mean()
        return self.scale * y

    def center(self) -> Float[Array, "*event"]:
        """scale * the centre of y: [*event]."""
        y: Array = center(self.base)
        return self.scale * y

    def stddev(self) -> Float[Array, "*event"]:
        """scale * the standard deviation of y: [*event]."""
        y: Array = stddev(self.base)
        return self.scale * y

    def support(self) -> Any:
        """That of y."""
        return support(self.base)
