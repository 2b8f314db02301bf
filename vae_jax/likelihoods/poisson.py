"""Counts whose variance is their mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Num

from vae_jax.distributions import Poisson as PoissonDistribution
from vae_jax.likelihoods.rates import log_mean, log_of_mean
from vae_jax.likelihoods.reading import Reading, Stored, as_counts

Array = jax.Array


@dataclass(frozen=True)
class Poisson:
    """Independent Poisson counts: variance equal to the mean; the decoder emits log means.

    With the size s of an example (`make_conditional_vae(size=)`) the means are s softmax(raw) over the whole event.
    """

    def size(self, channels: int) -> int:
        """Numbers that are read at each position: one a channel."""
        return channels

    def init(self, key: Array, event: tuple[int, ...]) -> dict[str, Any]:
        """No parameters of its own."""
        return {}

    def apply(
        self,
        params: Any,
        raw: Float[Array, "*event"],
        context: Num[Array, " context"] | None = None,
        size: Num[Array, ""] | None = None,
    ) -> PoissonDistribution:
        """raw: [*positions, channels]; size: a scalar. Returns counts of the same shape."""
        return PoissonDistribution(log_mean(raw, size))

    def features(self, x: Num[Array, "*event"]) -> Float[Array, "*event"]:
        """What the encoder reads of x: log(1 + x)."""
        return jnp.log1p(x)

    def reads(self, stored: Stored) -> Reading:
        """Counts: `as_counts`."""
        return as_counts(stored, "likelihood:poisson")

    def bias(self, examples: Any) -> Float[np.ndarray, "*event"]:
        """The output of the decoder at the marginals of the examples, [*event]: the log of their mean."""
        return log_of_mean(examples)
