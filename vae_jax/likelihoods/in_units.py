"""A likelihood of real numbers in their own units, whose networks see numbers of about 1."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Num

from vae_jax.distributions import Scaled
from vae_jax.errors import InputError
from vae_jax.likelihoods.reading import Reading, Stored
from vae_jax.shapes import AnyArray

Array = jax.Array


@dataclass(frozen=True)
class InUnits:
    """A likelihood of x / scale as one of x: log p(x|z) = log p(x / scale | z) - sum_i log scale_i.

    A standardised table is scored in its own units by it. Only the scale is here: x is centred where it is read,
    in float64, for a shift has no log-determinant and float32 would lose what is small beside it.
    """

    inner: Any
    """The likelihood of the standardised numbers."""
    scale: tuple[float, ...]
    """Of each channel, a column of a table: above 0, usually the standard deviation of the training data."""

    def __post_init__(self) -> None:
        if not all(0 < s < math.inf for s in self.scale):
            raise InputError(f"scale {self.scale}: expected numbers above 0")

    def size(self, channels: int) -> int:
        """As many numbers as the inner likelihood reads. Raises InputError for another number of channels."""
        if channels != len(self.scale):
            raise InputError(f"an event of {channels} channels: expected {len(self.scale)}, as many as scales")
        return self.inner.size(channels)  # type: ignore[no-any-return]

    def init(self, key: Array, event: tuple[int, ...]) -> Any:
        """The parameters of the inner likelihood."""
        return self.inner.init(key, event)

    def init_from(self, params: Any, examples: Any) -> Any:
        """As the inner likelihood starts from the standardised examples."""
        if not hasattr(self.inner, "init_from"):
            return params
        return self.inner.init_from(params, np.asarray(examples) / np.asarray(self.scale, np.float32))

    def apply(
        self, params: Any, raw: Float[Array, "*positions size"], context: Num[Array, " context"] | None = None
    ) -> Scaled:
        """raw: [*positions, size(channels)]. Returns a density over [*positions, channels], in their units."""
        inner = self.inner.apply(params, raw, context)
        return Scaled(inner, jnp.broadcast_to(jnp.asarray(self.scale, raw.dtype), self._event(raw)))

    def features(self, x: Num[Array, "*event"]) -> Num[Array, "*positions k"]:
        """Those of x / scale."""
        scaled = x / jnp.broadcast_to(jnp.asarray(self.scale, jnp.result_type(x, jnp.float32)), jnp.shape(x))
        return self.inner.features(scaled) if hasattr(self.inner, "features") else scaled

    def reads(self, stored: Stored) -> Reading:
        """As the inner likelihood."""
        return self.inner.reads(stored)  # type: ignore[no-any-return]

    def bias(self, examples: Any) -> Float[AnyArray, "*positions size"] | None:
        """That of the inner likelihood at the standardised examples."""
        if not hasattr(self.inner, "bias"):
            return None
        return self.inner.bias(np.asarray(examples) / np.asarray(self.scale, np.float32))  # type: ignore[no-any-return]

    def _event(self, raw: Array) -> tuple[int, ...]:
        return (*raw.shape[:-1], len(self.scale))
