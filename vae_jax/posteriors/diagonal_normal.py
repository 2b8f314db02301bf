"""The normal posterior with independent latents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float, Num

from vae_jax.distributions import Normal, bounded_scale

Array = jax.Array


@dataclass(frozen=True)
class DiagonalNormal:
    """Normal with independent latents, N(mu, diag(sigma^2)).

    The encoder emits mu and a number s for each latent, sigma = `bounded_scale`(s).
    Source: Kingma and Welling 2013 (arXiv:1312.6114).
    """

    def event(self, latent_size: int) -> tuple[int, ...]:
        """The shape of z: [d]."""
        return (latent_size,)

    def size(self, channels: int) -> int:
        """Numbers that are read for d latents: 2 d."""
        return 2 * channels

    def init(self, key: Array, event: tuple[int, ...]) -> dict[str, Any]:
        """No parameters of its own."""
        return {}

    def apply(
        self, params: Any, raw: Float[Array, "*positions size"], context: Num[Array, " context"] | None = None
    ) -> Normal:
        """raw: [2 d]. Returns a normal over [d]."""
        # By reshape: a split rounds otherwise in the last bit on a CPU, and published runs would not be repeated.
        loc, scale = jnp.moveaxis(raw.reshape(*raw.shape[:-1], 2, -1), -2, 0)
        return Normal(loc, bounded_scale(scale))
