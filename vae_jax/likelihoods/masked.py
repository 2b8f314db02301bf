"""Any likelihood over the observed elements alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Num

from vae_jax.distributions import Masked as MaskedDistribution
from vae_jax.distributions import Observed, from_nan
from vae_jax.likelihoods.reading import Reading, Stored
from vae_jax.shapes import AnyArray

Array = jax.Array


@dataclass(frozen=True)
class Masked:
    """A likelihood of examples with gaps: p(x_seen | z), of which the encoder reads the values and where they are.

    log p(x_seen | z) = sum_i seen_i log p(x_i | z), in which gaps that depend on x_seen alone leave no trace:
    Mattei and Frellsen 2019 (arXiv:1812.02633). An example is an `Observed(value, seen)`, stored with NaN.
    """

    inner: Any
    """The likelihood of an example without gaps, whose elements, or positions, are independent given z."""

    def size(self, channels: int) -> int:
        """As many numbers as the inner likelihood reads."""
        return self.inner.size(channels)  # type: ignore[no-any-return]

    def init(self, key: Array, event: tuple[int, ...]) -> Any:
        """The parameters of the inner likelihood."""
        return self.inner.init(key, event)

    def init_from(self, params: Any, examples: Any) -> Any:
        """As the inner likelihood starts from examples whose gaps hold the mean of what is seen in their place."""
        return self.inner.init_from(params, _filled(examples)) if hasattr(self.inner, "init_from") else params

    def apply(
        self,
        params: Any,
        raw: Float[Array, "*positions size"],
        context: Num[Array, " context"] | None = None,
        *size: Any,
    ) -> MaskedDistribution:
        """raw: [*positions, size(channels)]. Returns a distribution over `Observed` of [*positions, channels]."""
        return MaskedDistribution(self.inner.apply(params, raw, context, *size))

    def example(self, event: tuple[int, ...]) -> Observed:
        """An example of which all is seen, by which networks are sized."""
        return Observed(jnp.zeros(event), jnp.ones(event))

    def features(self, x: Observed) -> Float[Array, "*positions k"]:
        """The features of the values, 0 where nothing is seen, and `seen` itself: [*positions, k + channels]."""
        inner = self.inner.features(x.value) if hasattr(self.inner, "features") else x.value
        # Features of whole positions, and those of several columns, are there where all they read is seen.
        seen = self._of_features(jnp.asarray(x.seen), jnp.shape(inner))
        return jnp.concatenate([jnp.where(seen > 0, inner, 0), x.seen], axis=-1)

    def _of_features(self, seen: Array, shape: tuple[int, ...]) -> Array:
        # Asked first: as many features as columns may be in another order than these.
        if hasattr(self.inner, "seen_features"):
            return self.inner.seen_features(seen)  # type: ignore[no-any-return]
        if jnp.shape(seen) == shape:
            return seen
        return jnp.broadcast_to(jnp.min(seen, axis=-1, keepdims=True), shape)

    def reads(self, stored: Stored) -> Reading:
        """As the inner likelihood, with NaN for a gap in what is stored; what is given back has none."""
        return with_gaps(self.inner.reads(stored))

    def bias(self, examples: Any) -> Float[AnyArray, "*positions size"] | None:
        """That of the inner likelihood, at examples whose gaps hold the mean of what is seen in their place."""
        if not hasattr(self.inner, "bias"):
            return None
        return self.inner.bias(_filled(examples))  # type: ignore[no-any-return]


def with_gaps(inner: Reading) -> Reading:
    """The same reading of examples with gaps, NaN in what is stored."""

    def transform(key: Array, x: Any) -> Observed:
        value, seen = from_nan(jnp.asarray(x))
        read = inner.transform(key, value)
        return Observed(jnp.where(seen > 0, read, 0), seen.astype(read.dtype))

    return inner._replace(transform=transform, restore=lambda x: inner.restore(x.value))


def _filled(examples: Any) -> np.ndarray:
    """The values, [N, *event], with the mean of what is seen in the place of a gap."""
    value, seen = (np.asarray(a, np.float32) for a in examples)
    mean = (value * seen).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
    return np.where(seen > 0, value, mean)
