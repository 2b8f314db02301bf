"""Independent continuous Bernoullis, densities on [0, 1]: finite in float32 for logits of +-1e3."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Float, Num

from vae_jax.distributions.base import Support, check_event

Array = jax.Array

# B_2n / (2n (2n)!), n = 1, 2, ...: log(sinh(l/2) / (l/2)) = sum_n of these times l^2n, of radius 2 pi.
_SERIES = (
    1 / 24,
    -1 / 2880,
    1 / 181440,
    -1 / 9676800,
    1 / 479001600,
    -691 / 15692092416000,
    1 / 1046139494400,
    -3617 / 170729965486080000,
    43867 / 91963695909076992000,
    -174611 / 16057153253965824000000,
)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class ContinuousBernoulli:
    """Independent continuous Bernoullis of Loaiza-Ganem and Cunningham 2019 (arXiv:1907.06845).

    log p(x) = sum_i [ x_i l_i - log( (exp(l_i) - 1) / l_i ) ],  l the logits, 0 < x_i < 1

    which is x log(q) + (1 - x) log(1 - q) + log C(q) of the paper at q = sigmoid(l), uniform at l = 0. Value,
    gradient and second derivative are finite for every finite logit. `logits`: [*event]. Support: [0, 1]; outside
    it is -inf, so that 8-bit images which nobody divided by 255 cannot train.
    """

    logits: Float[Array, "*event"]

    def sample(self, key: Array) -> Float[Array, "*event"]:
        """By the inverse of the distribution function, log(1 + u (exp(l) - 1)) / l: [*event], reparameterized."""
        u = jax.random.uniform(key, jnp.shape(self.logits), jnp.result_type(self.logits, jnp.float32))
        size = jnp.abs(self.logits)
        near = size < 1e-3
        far, small = jnp.where(near, 1.0, size), jnp.where(near, self.logits, 0.0)
        # The draw at -|l|; that at |l| is 1 minus it.
        below = -jnp.log1p(u * jnp.expm1(-far)) / far
        series = u + u * (1 - u) * (small / 2 + small**2 * (1 - 2 * u) / 6)
        return jnp.where(near, series, jnp.where(self.logits > 0, 1 - below, below))

    def log_prob(self, x: Num[Array, "*event"]) -> Float[Array, ""]:
        """log p(x) summed over the event, a scalar in nats. x: [*event]."""
        check_event(jnp.shape(x), jnp.shape(self.logits), "ContinuousBernoulli.log_prob got an array")
        # Flat, because XLA on CPU sums over a last axis of length 1, as images have, ten times more slowly.
        x, logits = jnp.ravel(x), jnp.ravel(self.logits)
        # Of x alone, so that under `vmap` over z the pixels are compared once.
        inside = jnp.all((x >= 0) & (x <= 1))
        return jnp.where(inside, jnp.sum(_log_density(x, logits)), -jnp.inf)

    def log_prob_each(self, x: Num[Array, "*event"]) -> Float[Array, "*event"]:
        """log p(x_i), -inf where x_i is outside [0, 1]: [*event] in nats. x: [*event]."""
        check_event(jnp.shape(x), jnp.shape(self.logits), "ContinuousBernoulli.log_prob_each got an array")
        return jnp.where((x >= 0) & (x <= 1), _log_density(x, self.logits), -jnp.inf)

    def mean(self) -> Float[Array, "*event"]:
        """1 / (1 - exp(-l)) - 1 / l, which is 1/2 at l = 0: [*event]."""
        size = jnp.abs(self.logits)
        far = jnp.maximum(size, 1.0)
        decay = jnp.exp(-far)
        below = 1 / far - decay / (1 - decay)  # the mean at -|l|
        slope = [2 * n * c for n, c in enumerate(_SERIES, 1)]
        series = 0.5 + self.logits * _polynomial(slope, self._small() ** 2)
        return jnp.where(size < 1, series, jnp.where(self.logits > 0, 1 - below, below))

    def stddev(self) -> Float[Array, "*event"]:
        """sqrt( 1 / l^2 - 1 / (2 sinh(l/2))^2 ), which is sqrt(1/12) at l = 0: [*event]."""
        size = jnp.abs(self.logits)
        far = jnp.maximum(size, 1.0)
        decay = jnp.exp(-far)
        curvature = [2 * n * (2 * n - 1) * c for n, c in enumerate(_SERIES, 1)]
        series = _polynomial(curvature, self._small() ** 2)
        return jnp.sqrt(jnp.where(size < 1, series, 1 / far**2 - decay / (1 - decay) ** 2))

    def support(self) -> Support:
        """[0, 1]."""
        return "unit"

    def _small(self) -> Float[Array, "*event"]:
        return jnp.clip(self.logits, -1.0, 1.0)


def _log_density(x: Array, logits: Array) -> Array:
    """x l - log((exp(l) - 1) / l): beyond 1 from the side where no large numbers cancel, by the series inside."""
    size = jnp.abs(logits)
    near = size < 1
    far, small = jnp.where(near, 1.0, size), jnp.where(near, logits, 0.0)
    outer = jnp.log(far / (1 - jnp.exp(-far))) - far * jnp.where(logits > 0, 1 - x, x)
    inner = (x - 0.5) * small - small**2 * _polynomial(_SERIES, small**2)
    return jnp.where(near, inner, outer)


def _polynomial(coefficients: tuple[float, ...] | list[float], square: Array) -> Array:
    total = jnp.zeros_like(square)
    for c in reversed(coefficients):
        total = total * square + c
    return total
