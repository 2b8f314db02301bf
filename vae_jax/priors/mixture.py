"""A prior that is a mixture of normals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float, Num

from vae_jax import distributions
from vae_jax.distributions import Distribution, Normal, bounded_scale
from vae_jax.errors import check_at_least

Array = jax.Array


@dataclass(frozen=True)
class Mixture:
    """Mixture of K diagonal normals, sum_k w_k N(m_k, diag(s_k^2)), all of it learned.

    Parameters: `logits` [K], w = softmax(logits); `loc` [K, *z]; `scale` [K, *z], through `bounded_scale`.
    They start at equal weights, unit scales and means drawn from N(0, I).
    """

    components: int = 50
    """Number of normals, K."""

    def __post_init__(self) -> None:
        check_at_least("components", self.components, 1)

    def init(
        self,
        key: Array,
        z_shape: tuple[int, ...],
        x_shape: tuple[int, ...],
        context: Num[Array, " context"] | None = None,
    ) -> dict[str, Float[Array, "K ..."]]:
        """The parameters at the start of training."""
        shape = (self.components, *z_shape)
        return {
            "logits": jnp.zeros(self.components),
            "loc": jax.random.normal(key, shape),
            "scale": jnp.zeros(shape),
        }

    def apply(
        self,
        params: Any,
        encode: Callable[[Any], Distribution],
        z_shape: tuple[int, ...],
        context: Num[Array, " context"] | None = None,
    ) -> distributions.Mixture:
        """The mixture over arrays of `z_shape`."""
        components = Normal(params["loc"], bounded_scale(params["scale"]))
        return distributions.Mixture(components, params["logits"])
