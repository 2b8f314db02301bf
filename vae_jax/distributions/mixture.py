"""A mixture of distributions of one kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp
from jaxtyping import Float

from vae_jax.distributions.base import Distribution, stddev, support

Array = jax.Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Mixture:
    """sum_k w_k p_k(x) with w = softmax(logits).

    log p(x) = logsumexp_k [ log w_k + log p_k(x) ]

    `components`: one distribution whose leaves have a leading axis [K], as `jax.vmap` gives them. `logits`: [K].
    """

    components: Distribution
    logits: Float[Array, "*batch K"]  # under `vmap` alone is there a batch

    def sample(self, key: Array) -> Any:
        """k ~ w, then x ~ p_k: [*event]. It is not reparameterized in the logits."""
        component_key, sample_key = jax.random.split(key)
        k = jax.random.categorical(component_key, self.logits)
        return jax.tree.map(lambda leaf: leaf[k], self.components).sample(sample_key)

    def log_prob(self, x: Any) -> Float[Array, ""]:
        """log sum_k w_k p_k(x), a scalar in nats. x: [*event]."""
        each = jax.vmap(lambda p: p.log_prob(x))(self.components)
        return logsumexp(each + jax.nn.log_softmax(self.logits))

    def mean(self) -> Any:
        """sum_k w_k E_k[x]: [*event]."""
        return self._weighted(jax.vmap(lambda p: p.mean())(self.components))

    def stddev(self) -> Any:
        """sqrt( sum_k w_k (s_k^2 + m_k^2) - mean^2 ) of each element: [*event]."""
        means, scales = jax.vmap(lambda p: (p.mean(), stddev(p)))(self.components)
        # Around the mean of the mixture, so that means far from zero do not cancel.
        off = jax.tree.map(lambda m, c: m - c[None], means, self.mean())
        squares = jax.tree.map(lambda s, m: s**2 + m**2, scales, off)
        return jax.tree.map(jnp.sqrt, self._weighted(squares))

    def support(self) -> Any:
        """That of the components, which is that of the first: they are of one kind."""
        return support(jax.tree.map(lambda leaf: leaf[0], self.components))

    def _weighted(self, values: Any) -> Any:
        weights = jax.nn.softmax(self.logits)
        return jax.tree.map(lambda v: jnp.tensordot(weights, v, 1), values)
