"""The standard normal prior."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
from jaxtyping import Num

from vae_jax.distributions import Distribution, Normal, standard_normal

Array = jax.Array


@dataclass(frozen=True)
class StandardNormal:
    """Standard normal, N(0, I), without parameters."""

    def init(
        self,
        key: Array,
        z_shape: tuple[int, ...],
        x_shape: tuple[int, ...],
        context: Num[Array, " context"] | None = None,
    ) -> dict[str, Any]:
        """No parameters."""
        return {}

    def apply(
        self,
        params: Any,
        encode: Callable[[Any], Distribution],
        z_shape: tuple[int, ...],
        context: Num[Array, " context"] | None = None,
    ) -> Normal:
        """N(0, I) over arrays of `z_shape`."""
        return standard_normal(z_shape)
