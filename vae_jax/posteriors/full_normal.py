"""The normal posterior with a full covariance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Num

from vae_jax.distributions import MultivariateNormal, bounded_scale

Array = jax.Array


@dataclass(frozen=True)
class FullNormal:
    """Normal with a full covariance, N(mu, L L'), L lower triangular.

    The encoder emits mu [d] and the d (d + 1) / 2 numbers of L, row after row; those on the diagonal go through
    `bounded_scale`. Source: Kingma and Welling 2019 (arXiv:1906.02691), section 2.5.1.
    """

    def event(self, latent_size: int) -> tuple[int, ...]:
        """The shape of z: [d]."""
        return (latent_size,)

    def size(self, channels: int) -> int:
        """Numbers that are read for d latents: d (d + 3) / 2."""
        return channels * (channels + 3) // 2

    def init(self, key: Array, event: tuple[int, ...]) -> dict[str, Any]:
        """No parameters of its own."""
        return {}

    def apply(
        self, params: Any, raw: Float[Array, " size"], context: Num[Array, " context"] | None = None
    ) -> MultivariateNormal:
        """raw: [d (d + 3) / 2]. Returns a normal over [d]."""
        d = (math.isqrt(9 + 8 * raw.shape[-1]) - 3) // 2
        loc, entries = raw[:d], raw[d:]
        lower = jnp.zeros((d, d), raw.dtype).at[np.tril_indices(d)].set(entries)
        diagonal = bounded_scale(jnp.diagonal(lower))
        return MultivariateNormal(loc, jnp.tril(lower, -1) + jnp.diag(diagonal))
