"""Counts of which some are not seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Num

from vae_jax.distributions import NegativeBinomial
from vae_jax.distributions import ZeroInflatedNegativeBinomial as ZeroInflatedDistribution
from vae_jax.likelihoods.rates import bounded_log_r, log_mean, log_of_mean
from vae_jax.likelihoods.reading import Reading, Stored, as_counts

Array = jax.Array


@dataclass(frozen=True)
class ZeroInflatedNegativeBinomial:
    """Negative binomial counts, each 0 in its place with a probability that the decoder emits; r is learned.

    With the size s of an example (`make_conditional_vae(size=)`) the means are s softmax(raw) over the whole event,
    before some are 0 in their place.
    """

    def size(self, channels: int) -> int:
        """Numbers that are read at each position: the log means of all channels, then their dropout logits."""
        return 2 * channels

    def init(self, key: Array, event: tuple[int, ...]) -> dict[str, Float[Array, "*event"]]:
        """`log_r`, one an element, through `bounded_log_r`; it starts at r = 1."""
        return {"log_r": jnp.zeros(event)}

    def apply(
        self,
        params: Any,
        raw: Float[Array, "*positions size"],
        context: Num[Array, " context"] | None = None,
        size: Num[Array, ""] | None = None,
    ) -> ZeroInflatedDistribution:
        """raw: [*positions, 2 channels]; size: a scalar. Returns counts over [*positions, channels]."""
        means, dropout = jnp.split(raw, 2, axis=-1)
        counts = NegativeBinomial(log_mean(means, size), bounded_log_r(params["log_r"]))
        return ZeroInflatedDistribution(counts, dropout)

    def features(self, x: Num[Array, "*event"]) -> Float[Array, "*event"]:
        """What the encoder reads of x: log(1 + x)."""
        return jnp.log1p(x)

    def reads(self, stored: Stored) -> Reading:
        """Counts: `as_counts`."""
        return as_counts(stored, "likelihood:zero-inflated-negative-binomial")

    def bias(self, examples: Any) -> Float[np.ndarray, "*positions size"]:
        """The output of the decoder at the marginals of the examples, [*positions, size].

        Mean and share of zeros are those of the examples at r = 1, where the share of zeros of the counts is
        1 / (1 + m): m is the mean of the counts above 0, less 1. Probabilities of dropout from 0.01 to 0.99.
        """
        mean = np.exp(log_of_mean(examples).astype(np.float64))
        above = np.maximum(np.mean(np.asarray(examples) > 0, axis=0), 0.5 / len(examples))
        kept = np.clip(mean / np.maximum(mean / above - 1, 1e-30), 0.01, 0.99)
        raw = np.concatenate([np.log(mean / kept), np.log((1 - kept) / kept)], axis=-1)
        return raw.astype(np.float32)
