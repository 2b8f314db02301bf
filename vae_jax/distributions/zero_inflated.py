"""Negative binomial counts of which some are not seen."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Float, Num

from vae_jax.distributions.base import Support, check_event
from vae_jax.distributions.negative_binomial import NegativeBinomial
from vae_jax.fast.activations import softplus

Array = jax.Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class ZeroInflatedNegativeBinomial:
    """Counts that are 0 with probability w = sigmoid(dropout), and else negative binomial.

    log p(x) = sum_i log [ w_i 1(x_i = 0) + (1 - w_i) NB(x_i) ]

    `counts`: the negative binomial, over [*event]. `dropout`: logits, [*event], finite of any size. Source: Eraslan
    et al. 2019, "Single-cell RNA-seq denoising using a deep count autoencoder", DOI 10.1038/s41467-018-07931-2.
    """

    counts: NegativeBinomial
    dropout: Float[Array, "*event"]

    def sample(self, key: Array) -> Float[Array, "*event"]:
        """[*event]."""
        dropout_key, key = jax.random.split(key)
        dropped = jax.random.bernoulli(dropout_key, jax.nn.sigmoid(self.dropout))
        return jnp.where(dropped, 0, self.counts.sample(key))

    def log_prob(self, x: Num[Array, "*event"]) -> Float[Array, ""]:
        """log p(x) summed over the event, a scalar in nats. x: [*event]."""
        return jnp.sum(jnp.ravel(self.log_prob_each(x)))

    def log_prob_each(self, x: Num[Array, "*event"]) -> Float[Array, "*event"]:
        """The term of each element, [*event] in nats. x: [*event]."""
        check_event(jnp.shape(x), jnp.shape(self.dropout), "ZeroInflatedNegativeBinomial.log_prob got an array")
        counts, w = self.counts.log_prob_each(x), self.dropout
        # log [ (exp w + NB(0)) / (exp w + 1) ], each log without what cancels; -inf, of no count, is kept out.
        zero = jnp.where(x == 0, counts, 0)
        apart = jnp.log1p(jnp.exp(-jnp.abs(w - zero))) - jnp.log1p(jnp.exp(-jnp.abs(w)))
        at_zero = (jnp.maximum(w, zero) - jnp.maximum(w, 0)) + apart
        return jnp.where(x == 0, at_zero, counts - softplus(w))

    def mean(self) -> Float[Array, "*event"]:
        """(1 - w) m: [*event]."""
        return jax.nn.sigmoid(-self.dropout) * self.counts.mean()

    def stddev(self) -> Float[Array, "*event"]:
        """sqrt( (1 - w) [m + m^2 / r + w m^2] ): [*event]."""
        kept, w = jax.nn.sigmoid(-self.dropout), jax.nn.sigmoid(self.dropout)
        return jnp.sqrt(kept) * jnp.hypot(self.counts.stddev(), jnp.sqrt(w) * self.counts.mean())

    def support(self) -> Support:
        """0, 1, 2, ..."""
        return "integer"
