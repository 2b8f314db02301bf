"""Independent Poisson counts, in the log of their mean."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Num

from vae_jax.distributions.base import Support, check_event
from vae_jax.distributions.kl import register_kl
from vae_jax.fast.stirling import deviance, poisson_log_mass

Array = jax.Array
_LARGE = 1e4


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Poisson:
    """Independent counts x_i = 0, 1, 2, ... of mean m_i = exp(log_mean_i).

    log p(x) = sum_i [ x_i log m_i - m_i - log x_i! ]

    `log_mean`: [*event], up to 80; -1e3 is a mean of 0 whose gradient is that of the formula. What is no count has
    log-density -inf. There is no derivative in x.
    """

    log_mean: Float[Array, "*event"]

    def sample(self, key: Array) -> Float[Array, "*event"]:
        """Counts in the dtype of `log_mean`: [*event]. See `poisson_counts`."""
        return poisson_counts(key, self.mean())

    def log_prob(self, x: Num[Array, "*event"]) -> Float[Array, ""]:
        """log p(x) summed over the event, a scalar in nats. x: [*event]."""
        return jnp.sum(jnp.ravel(self.log_prob_each(x)))

    def log_prob_each(self, x: Num[Array, "*event"]) -> Float[Array, "*event"]:
        """The term of each element, [*event] in nats. x: [*event]."""
        check_event(jnp.shape(x), jnp.shape(self.log_mean), "Poisson.log_prob got an array")
        x, inside = as_counts(x, self.log_mean)
        return jnp.where(inside, poisson_log_mass(x, self.log_mean), -jnp.inf)

    def mean(self) -> Float[Array, "*event"]:
        """exp(log_mean): [*event]."""
        return jnp.exp(self.log_mean)

    def stddev(self) -> Float[Array, "*event"]:
        """sqrt(m): [*event]."""
        return jnp.exp(0.5 * self.log_mean)

    def support(self) -> Support:
        """0, 1, 2, ..."""
        return "integer"


@register_kl(Poisson, Poisson)
def _poisson_poisson(q: Poisson, p: Poisson, z: Array) -> Array:
    """m_q (e^s - 1 - s), s = log m_p - log m_q, in the form that neither cancels nor overflows."""
    check_event(jnp.shape(q.log_mean), jnp.shape(p.log_mean), "kl_divergence got a q")
    ratio = p.log_mean - q.log_mean
    near = jnp.clip(ratio, -1.0, 1.0)
    far = p.mean() - q.mean() * (1 + ratio)
    return jnp.where(near == ratio, q.mean() * deviance(jnp.expm1(near), near), far)


def as_counts(
    x: Num[Array, "*event"], like: Float[Array, "*event"]
) -> tuple[Float[Array, "*event"], Bool[Array, "*event"]]:
    """x in the dtype of `like`, 0 where it is no count, and where it is one."""
    x = jnp.asarray(x).astype(jnp.result_type(like))
    inside = (x >= 0) & (x == jnp.floor(x))
    return jnp.where(inside, x, 0), inside


def poisson_counts(key: Array, mean: Float[Array, "*event"]) -> Float[Array, "*event"]:
    """A draw of Poisson counts in the dtype of `mean`: [*event].

    Above a mean of 1e4 a normal e, rounded: m + sqrt(m) e + (e^2 - 1) / 6, which has the first three cumulants of
    the Poisson. The rejection sampler of JAX works in float32: at a mean of 1e6 it is off by 2 % in the variance.
    """
    key, normal_key = jax.random.split(key)
    if jax.random.key_impl(key) != "threefry2x32":  # the only one that the sampler of JAX takes
        key = jax.random.wrap_key_data(jax.random.bits(key, (2,), jnp.uint32), impl="threefry2x32")
    small = jax.random.poisson(key, jnp.minimum(mean, _LARGE)).astype(mean.dtype)
    e = jax.random.normal(normal_key, jnp.shape(mean), mean.dtype)
    return jnp.where(mean > _LARGE, jnp.round(mean + jnp.sqrt(mean) * e + (e**2 - 1) / 6), small)
