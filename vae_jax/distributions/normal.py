"""Independent normals.

A normal is given by its scale, not its variance, so that values and gradients stay finite in float32 for
log-variances of +-30 (scales of exp(+-15)). Networks emit an unbounded number; `bounded_scale` is the only place
where it is bounded, so that the sample, the density and the KL divergence can never disagree about the scale.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Float, Num

from vae_jax.distributions.base import Support, check_event
from vae_jax.distributions.kl import register_kl
from vae_jax.shapes import AnyArray

Array = jax.Array
MAX_LOG_SCALE = 15.0


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Normal:
    """Independent normals, N(x; loc, scale^2).

    log p(x) = -sum_i [ ((x_i - loc_i) / scale_i)^2 / 2 + log scale_i + log(2 pi) / 2 ]

    `loc`, `scale`: [*event], or broadcastable to each other. Scale is a standard deviation, above 0.
    """

    loc: Float[Array, "*#event"]
    scale: Float[Array, "*#event"]

    @property
    def _shape(self) -> tuple[int, ...]:
        return jnp.broadcast_shapes(jnp.shape(self.loc), jnp.shape(self.scale))

    def sample(self, key: Array) -> Float[Array, "*event"]:
        """Reparameterization of Kingma and Welling 2013 (arXiv:1312.6114): loc + scale * eps, eps ~ N(0, I)."""
        eps = jax.random.normal(key, self._shape, jnp.result_type(self.loc, self.scale, jnp.float32))
        return self.mean() + self.stddev() * eps

    def log_prob(self, x: Num[Array, "*event"]) -> Float[Array, ""]:
        """log N(x; loc, scale^2) summed over the event, a scalar in nats. x: [*event]."""
        # Flat, because XLA on CPU sums over a last axis of length 1, as images have, ten times more slowly.
        return jnp.sum(jnp.ravel(self.log_prob_each(x)))

    def log_prob_each(self, x: Num[Array, "*event"]) -> Float[Array, "*event"]:
        """log N(x_i; loc_i, scale_i^2), [*event] in nats. x: [*event]."""
        check_event(jnp.shape(x), self._shape, "Normal.log_prob got an array")
        standardized = (x - self.mean()) / self.stddev()
        return -(0.5 * standardized**2 + jnp.log(self.stddev()) + 0.5 * math.log(2 * math.pi))

    def mean(self) -> Float[Array, "*event"]:
        """loc: [*event]."""
        return jnp.broadcast_to(self.loc, self._shape)

    def stddev(self) -> Float[Array, "*event"]:
        """scale: [*event]."""
        return jnp.broadcast_to(self.scale, self._shape)

    def support(self) -> Support:
        """All real numbers."""
        return "real"


@register_kl(Normal, Normal)
def _normal_normal(q: Normal, p: Normal, z: Array) -> Array:
    check_event(q._shape, p._shape, "kl_divergence got a q")
    ratio = q.stddev() / p.stddev()
    return 0.5 * (ratio**2 + ((q.mean() - p.mean()) / p.stddev()) ** 2 - 1.0) - jnp.log(ratio)


def bounded_scale(raw: Float[AnyArray, "*shape"]) -> Float[Array, "*shape"]:
    """A scale from an unbounded network output: exp(15 tanh(raw / 15)), so that |log variance| < 30.

    exp(raw) to first order, smooth, and neither 0 nor infinite for any finite `raw`. raw: any shape; returns
    the same shape.
    """
    return jnp.exp(MAX_LOG_SCALE * jnp.tanh(raw / MAX_LOG_SCALE))


def standard_normal(shape: tuple[int, ...]) -> Normal:
    """N(0, I) over arrays of the given shape."""
    return Normal(jnp.zeros(shape), jnp.ones(shape))
