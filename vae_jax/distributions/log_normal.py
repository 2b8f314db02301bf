"""Independent positive numbers whose logs are normal."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Float, Num

from vae_jax.distributions.base import Support
from vae_jax.distributions.normal import Normal

Array = jax.Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class LogNormal:
    """x = exp(y) with y ~ N(loc, scale^2): a density of x in its own units.

    log p(x) = sum_i [ log N(log x_i; loc_i, scale_i^2) - log x_i ],  -inf where an x_i is not above 0

    `loc`, `scale`: mean and standard deviation of log x, [*event] or broadcastable to each other.
    """

    loc: Float[Array, "*#event"]
    scale: Float[Array, "*#event"]

    def sample(self, key: Array) -> Float[Array, "*event"]:
        """[*event]."""
        return jnp.exp(self._log().sample(key))

    def log_prob(self, x: Num[Array, "*event"]) -> Float[Array, ""]:
        """log p(x) summed over the event, a scalar in nats. x: [*event]."""
        return jnp.sum(jnp.ravel(self.log_prob_each(x)))

    def log_prob_each(self, x: Num[Array, "*event"]) -> Float[Array, "*event"]:
        """The term of each element, [*event] in nats. x: [*event]."""
        positive = jnp.asarray(x) > 0
        log_x = jnp.log(jnp.where(positive, x, 1))
        return jnp.where(positive, self._log().log_prob_each(log_x) - log_x, -jnp.inf)

    def mean(self) -> Float[Array, "*event"]:
        """exp(loc + scale^2 / 2): [*event]."""
        log = self._log()
        return jnp.exp(log.mean() + 0.5 * log.stddev() ** 2)

    def stddev(self) -> Float[Array, "*event"]:
        """mean sqrt(exp(scale^2) - 1): [*event]."""
        return self.mean() * jnp.sqrt(jnp.expm1(self._log().stddev() ** 2))

    def support(self) -> Support:
        """Above 0."""
        return "positive"

    def _log(self) -> Normal:
        return Normal(self.loc, self.scale)
