"""Mixtures of discretized logistics over the channels of a position, of levels 0, 1, ..., levels - 1."""

from __future__ import annotations

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
from jaxtyping import Float, Num

from vae_jax.distributions.base import Distribution, Support, check_event
from vae_jax.distributions.discretized_logistic import DiscretizedLogistic, is_level, log_mass, round_to_levels
from vae_jax.errors import InputError

Array = jax.Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class LogisticMixture:
    """At each position a mixture over all its channels, whose later locations follow the earlier channels:

    P(x) = sum_k w_k prod_i P_L(x_i; m_ik, s_ik),  m_ik = loc_ik + sum_{j<i} coefficients_ijk (x_j - (levels - 1)/2)

    with w = softmax(logits) and P_L the masses of `DiscretizedLogistic`. The event is [*positions, c]. The axes of
    the parameters come the other way round, components before positions, because XLA on CPU sums over a first axis
    three times as fast as over a short last one.

    `logits`: [K, *positions]. `loc`, `scale`: [c, K, *positions], in levels. `coefficients`: [c (c - 1)/2, K,
    *positions], for (i, j) = (1, 0), (2, 0), (2, 1), (3, 0), ... Source: Salimans et al. 2017 (arXiv:1701.05517),
    for any number of channels, and without the bound that their code puts below the masses.
    """

    logits: Float[Array, "*mixture"]
    loc: Float[Array, "*channels"]
    scale: Float[Array, "*channels"]
    coefficients: Float[Array, "*pairs"]
    levels: int = field(default=256, metadata={"static": True})

    @property
    def _shape(self) -> tuple[int, ...]:
        return (*jnp.shape(self.logits)[1:], jnp.shape(self.loc)[0])

    def sample(self, key: Array) -> Float[Array, "*positions c"]:
        """A component a position, then channel after channel, each given those before it; not reparameterized."""
        component_key, logistic_key = jax.random.split(key)
        k = jax.random.categorical(component_key, self.logits, axis=0)[None]
        loc, scale, coefficients = (
            jnp.take_along_axis(a, k[None], axis=1)[:, 0] for a in (self.loc, self.scale, self.coefficients)
        )
        noise = scale * jax.random.logistic(logistic_key, jnp.shape(scale), jnp.result_type(scale, jnp.float32))
        drawn: list[Array] = []
        for own, eps in zip(loc, noise, strict=True):
            drawn.append(round_to_levels(self._given(own, coefficients, drawn) + eps, self.levels))
        return jnp.stack(drawn, axis=-1)

    def log_prob(self, x: Num[Array, "*positions c"]) -> Float[Array, ""]:
        """log P(x), a scalar in nats; -inf where x holds what is no level. x: [*positions, c]."""
        terms = self._log_masses(x)
        # Of x alone, so that under `vmap` over z the pixels are compared once.
        return jnp.where(jnp.all(is_level(x, self.levels)), jnp.sum(jnp.ravel(terms)), -jnp.inf)

    def log_prob_each(self, x: Num[Array, "*positions c"]) -> Float[Array, "*positions"]:
        """The terms of log P(x) in nats, one a position, not one a channel: [*positions]. x: [*positions, c]."""
        terms = self._log_masses(x)
        return jnp.where(jnp.all(is_level(x, self.levels), axis=-1), terms, -jnp.inf)

    def mean(self) -> Float[Array, "*positions c"]:
        """The mean of one channel, exact. Raises InputError for more, which follow channels that are rounded."""
        if self._shape[-1] > 1:
            raise InputError(
                f"LogisticMixture of {self._shape[-1]} channels: their mean has no closed form; use `center`, or "
                "average samples"
            )
        means = DiscretizedLogistic(self.loc[0], self.scale[0], self.levels).mean()
        return jnp.sum(jax.nn.softmax(self.logits, axis=0) * means, axis=0)[..., None]

    def center(self) -> Float[Array, "*positions c"]:
        """The weighted mean of the locations, each clipped to the levels and following those before it."""
        weights = jax.nn.softmax(self.logits, axis=0)
        located: list[Array] = []
        for own in self.loc:
            located.append(jnp.clip(self._given(own, self.coefficients, located), 0, self.levels - 1))
        return jnp.stack([jnp.sum(weights * each, axis=0) for each in located], axis=-1)

    def marginals(self) -> Distribution:
        """Not known: the channels of a position depend on each other. Raises InputError."""
        raise InputError("LogisticMixture: the channels of a position depend on each other; expected a Normal")

    def support(self) -> Support:
        """Integers."""
        return "integer"

    def _given(self, loc: Array, coefficients: Array, before: list[Array]) -> Array:
        """The location of channel i = len(before) given the channels before it."""
        i = len(before)
        for j, x in enumerate(before):
            loc = loc + coefficients[i * (i - 1) // 2 + j] * (x - (self.levels - 1) / 2)
        return loc

    def _log_masses(self, x: Array) -> Array:
        check_event(jnp.shape(x), self._shape, "LogisticMixture.log_prob got an array")
        channels = [channel[None] for channel in jnp.moveaxis(x, -1, 0)]
        terms = jax.nn.log_softmax(self.logits, axis=0)
        for i, own in enumerate(channels):
            loc = self._given(self.loc[i], self.coefficients, channels[:i])
            terms = terms + log_mass(own, loc, self.scale[i], self.levels)
        return jax.nn.logsumexp(terms, axis=0)
