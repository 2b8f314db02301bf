"""Independent negative binomial counts, in the logs of their mean and of their inverse dispersion."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Float, Num

from vae_jax.distributions.base import Support, check_event
from vae_jax.distributions.poisson import as_counts, poisson_counts
from vae_jax.fast.stirling import negative_binomial_log_mass

Array = jax.Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class NegativeBinomial:
    """Independent counts of mean m and variance m + m^2 / r: Poisson of a gamma of shape r and mean m.

    log p(x) = sum_i log [ Gamma(x_i + r_i) / (Gamma(r_i) x_i!) ] + r_i log(r_i / (r_i + m_i))
                                                                + x_i log(m_i / (r_i + m_i))

    `log_mean`: [*event], up to 40. `log_r`: [*event], or broadcastable to it, within +-40; a large r is the
    Poisson, exactly. What is no count has log-density -inf. There is no derivative in x.
    """

    log_mean: Float[Array, "*event"]
    log_r: Float[Array, "*#event"]

    def sample(self, key: Array) -> Float[Array, "*event"]:
        """A Poisson of a gamma, in the dtype of `log_mean`: [*event]."""
        gamma_key, key = jax.random.split(key)
        log_r = self._log_r()
        # In logs: a gamma of a shape of 1e-15 is 0 in float32.
        log_gamma = jax.random.loggamma(gamma_key, jnp.exp(log_r), dtype=log_r.dtype) - log_r
        return poisson_counts(key, jnp.exp(jnp.minimum(log_gamma + self.log_mean, 80.0)))

    def log_prob(self, x: Num[Array, "*event"]) -> Float[Array, ""]:
        """log p(x) summed over the event, a scalar in nats. x: [*event]."""
        return jnp.sum(jnp.ravel(self.log_prob_each(x)))

    def log_prob_each(self, x: Num[Array, "*event"]) -> Float[Array, "*event"]:
        """The term of each element, [*event] in nats. x: [*event]."""
        check_event(jnp.shape(x), jnp.shape(self.log_mean), "NegativeBinomial.log_prob got an array")
        x, inside = as_counts(x, self.log_mean)
        return jnp.where(inside, negative_binomial_log_mass(x, self.log_mean, self._log_r()), -jnp.inf)

    def mean(self) -> Float[Array, "*event"]:
        """exp(log_mean): [*event]."""
        return jnp.exp(self.log_mean)

    def stddev(self) -> Float[Array, "*event"]:
        """sqrt(m + m^2 / r): [*event]."""
        return jnp.exp(0.5 * self.log_mean) * jnp.sqrt(1 + jnp.exp(self.log_mean - self._log_r()))

    def support(self) -> Support:
        """0, 1, 2, ..."""
        return "integer"

    def _log_r(self) -> Array:
        return jnp.broadcast_to(self.log_r, jnp.shape(self.log_mean))
