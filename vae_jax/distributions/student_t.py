"""Independent Student's t distributions: outliers cost the logarithm of their distance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Float, Num

from vae_jax.distributions.base import Support, check_event
from vae_jax.errors import InputError

Array = jax.Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class StudentT:
    """Independent Student's t distributions with df degrees of freedom, y_i = (x_i - loc_i) / scale_i.

    log p(x) = sum_i [ log G((df + 1)/2) - log G(df/2) - log(pi df)/2 - log scale_i
                       - (df + 1)/2 log(1 + y_i^2 / df) ],  G the gamma function

    `df`: above 0, a scalar. `loc`, `scale`: [*event], or broadcastable to each other, scale above 0.
    """

    df: Float[Array, "*batch"]  # under `vmap` alone is there a batch
    loc: Float[Array, "*#event"]
    scale: Float[Array, "*#event"]

    @property
    def _shape(self) -> tuple[int, ...]:
        return jnp.broadcast_shapes(jnp.shape(self.loc), jnp.shape(self.scale))

    def sample(self, key: Array) -> Float[Array, "*event"]:
        """loc + scale * eps, eps = n / sqrt(g / (df/2)) with n normal and g ~ Gamma(df/2): [*event].

        Finite in float32: where df is so small that eps exceeds exp(70), it is that.
        """
        normal_key, gamma_key = jax.random.split(key)
        dtype = jnp.result_type(self.loc, self.scale, jnp.float32)
        normal = jax.random.normal(normal_key, self._shape, dtype)
        half = jnp.asarray(self.df, dtype) / 2
        log_gamma = jax.random.loggamma(gamma_key, half, self._shape, dtype)
        eps = normal * jnp.exp(jnp.minimum(0.5 * (jnp.log(half) - log_gamma), 70.0))
        return self.center() + jnp.broadcast_to(self.scale, self._shape) * eps

    def log_prob(self, x: Num[Array, "*event"]) -> Float[Array, ""]:
        """log p(x) summed over the event, a scalar in nats. x: [*event]."""
        # Flat, because XLA on CPU sums over a last axis of length 1, as images have, ten times more slowly.
        return jnp.sum(jnp.ravel(self.log_prob_each(x)))

    def log_prob_each(self, x: Num[Array, "*event"]) -> Float[Array, "*event"]:
        """log p(x_i), [*event] in nats, finite with its gradient for all finite x. x: [*event]."""
        check_event(jnp.shape(x), self._shape, "StudentT.log_prob got an array")
        scale = jnp.broadcast_to(self.scale, self._shape)
        distance = jnp.abs(x - self.center()) / scale / jnp.sqrt(self.df)
        # log(1 + d^2) without the square of what is above 1, which may be no float32 number.
        above = jnp.maximum(distance, 1.0)
        tail = 2 * jnp.log(above) + jnp.log1p((jnp.minimum(distance, 1.0) / above) ** 2)
        normalizer = _log_gamma_ratio(self.df / 2) - 0.5 * jnp.log(math.pi * self.df)
        return normalizer - jnp.log(scale) - 0.5 * (self.df + 1) * tail

    def mean(self) -> Float[Array, "*event"]:
        """loc, [*event], where df is above 1. Raises InputError where it is not, NaN where `jit` hides it."""
        if isinstance(self.df, jax.core.Tracer):
            return jnp.where(self.df > 1, self.center(), jnp.nan)
        if jnp.any(jnp.asarray(self.df) <= 1):
            raise InputError(f"StudentT of {self.df} degrees of freedom: it has no mean; use `center`, its median")
        return self.center()

    def center(self) -> Float[Array, "*event"]:
        """The median, loc: [*event]."""
        return jnp.broadcast_to(self.loc, self._shape)

    def stddev(self) -> Float[Array, "*event"]:
        """scale sqrt(df / (df - 2)), infinite for df up to 2: [*event]."""
        ratio = jnp.where(self.df > 2, self.df / jnp.where(self.df > 2, self.df - 2, 1.0), jnp.inf)
        return jnp.broadcast_to(self.scale, self._shape) * jnp.sqrt(ratio)

    def support(self) -> Support:
        """All real numbers."""
        return "real"


def _log_gamma_ratio(a: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """log G(a + 1/2) - log G(a), where the two would cancel in float32 for large a.

    Stirling's series at a + 8, and G(a + 1) = a G(a) eight times to come back.
    """
    back = math.prod((a + i) / (a + i + 0.5) for i in range(8))
    # Powers of what is small: those of a large number are no float32 numbers.
    s = 1 / (a + 8)
    series = s * (-1 / 8 + s**2 * (1 / 192 + s**2 * (-1 / 640 + s**2 * (17 / 14336 - s**2 * 31 / 18432))))
    return jnp.log(back) - 0.5 * jnp.log(s) + series
